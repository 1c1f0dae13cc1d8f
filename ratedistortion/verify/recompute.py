"""The numbers of a row in NumPy and float64, by the simplest formulas.

`rd-sweep --verify` and the tests compare what the engine measures with these numbers. No code is
shared with the estimators, and speed does not matter here.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, log_expit, log_softmax
from scipy.stats import norm

from ratedistortion.measuring.measurement import Codes

# A mean over terms and its standard error.
Pair = tuple[float, float]
LogDensity = Callable[[np.ndarray], np.ndarray]


def rates(
    codes: Codes, log_prior: LogDensity, gaussian_prior: tuple[np.ndarray, np.ndarray] | None
) -> Float[np.ndarray, " images"]:
    """KL(q(z|x) || p(z)) of every image: in closed form, or by its one code.

    Args:
        codes: Gaussian posteriors and the noise of their codes.
        log_prior: log p(z) in nats, (codes, latents) -> (codes,).
        gaussian_prior: Mean and scale of p(z), (1, latents); None where p(z) is not Gaussian.

    Returns:
        Nats per image, (images,).
    """
    mean, scale, noise = _posteriors(codes)
    if gaussian_prior is not None:
        return _kl(mean, scale, *gaussian_prior).sum(axis=1)
    return _own_log_density(scale, noise) - log_prior(mean + scale * noise)


def information(
    codes: Codes,
    log_prior: LogDensity,
    gaussian_prior: tuple[np.ndarray, np.ndarray] | None,
    lower_rows: int,
    upper_rows: int,
    others: int,
) -> dict[str, Pair]:
    """R, I(n;z), the marginal KL and all their bounds, for Gaussian posteriors.

    Args:
        codes: As for `rates`; the images in `chosen` are those whose codes are used.
        log_prior: As for `rates`.
        gaussian_prior: As for `rates`.
        lower_rows: How many of the chosen images the lower bound of I(n;z) is a mean over.
        upper_rows: The same for the upper bound.
        others: How many codes, the first ones, leave-one-out is a mean over.

    Returns:
        Name as in `Measurement.by_name` -> value and standard error, in nats per image.
    """
    mean, scale, noise = _posteriors(codes)
    count, chosen = len(mean), np.asarray(codes.chosen)
    z = mean[chosen] + scale[chosen] * noise[chosen]
    own = _own_log_density(scale, noise)[chosen]
    log_q = np.stack([_log_normal(each, mean, scale) for each in z])  # (codes, posteriors)
    here = np.arange(len(chosen)), chosen
    log_q[here] = own
    log_total = np.logaddexp.reduce(log_q, axis=1, keepdims=True)
    log_share = log_q - log_total
    share = np.exp(log_share)
    entropy = -np.sum(share * log_share, axis=1)
    spread = np.sum(share * (log_share + entropy[:, None]) ** 2, axis=1)
    log_q[here] = -np.inf
    log_others = np.logaddexp.reduce(log_q, axis=1) - math.log(count - 1)
    each = rates(codes, log_prior, gaussian_prior)
    terms = math.log(count) - entropy
    marginal = log_total[:, 0] - math.log(count) - log_prior(z)
    rate, by_codes, draws = pair(each), pair(terms + marginal), pair(each[chosen])
    marginal_kl = pair(marginal)
    if gaussian_prior is not None:
        difference = pair(marginal - each[chosen])
        marginal_kl = rate[0] + difference[0], difference[1]
    elif by_codes[1] < draws[1] * math.sqrt(len(chosen) / count) and len(chosen) >= 100:
        rate = by_codes
    residual, residual_se = pair(each[chosen] - terms - marginal)
    found = {
        "rate": rate,
        "mutual_information": pair(terms),
        "marginal_kl": marginal_kl,
        "identity_residual": (residual, max(residual_se, math.sqrt(spread.mean() / len(chosen)))),
        "leave_one_out": pair((own - log_others)[:others]),
        "mutual_information_lower": _pairwise(mean, scale, chosen[:lower_rows], _bhattacharyya),
        "mutual_information_upper": _pairwise(mean, scale, chosen[:upper_rows], _kl),
    }
    if gaussian_prior is not None:
        center, width = gaussian_prior
        found["marginal_kl_gaussian"] = _gaussian_kl((mean - center) / width, scale / width), 0.0
    return found


def mlp(x: np.ndarray, layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The outputs of a network of affine layers with sigmoid linear units between them.

    Args:
        x: Inputs, (images, dimensions).
        layers: Kernel and bias of each layer, in float64.

    Returns:
        (images, outputs of the last layer).
    """
    *hidden, (kernel, bias) = layers
    for inner, shift in hidden:
        x = x @ inner + shift
        x = x * expit(x)
    return x @ kernel + bias


def log_mixture_prior(mean: np.ndarray, scale: np.ndarray, log_weight: np.ndarray) -> LogDensity:
    """Log density of a mixture of diagonal Gaussians.

    Args:
        mean: Means, (components, latents).
        scale: Standard deviations, (components, latents).
        log_weight: Logarithms of the weights, (components,), up to a common constant.

    Returns:
        A function (codes, latents) -> (codes,), in nats.
    """
    weight = log_weight - np.logaddexp.reduce(log_weight)
    return lambda z: np.logaddexp.reduce(
        [weight + _log_normal(one, mean, scale) for one in z], axis=1
    )


def log_likelihood(
    name: str, x: np.ndarray, parameters: np.ndarray, scale: float, levels: int
) -> Float[np.ndarray, " images"]:
    """log p(x|z) of every image.

    Args:
        name: Name of the likelihood.
        x: Values, (images, dimensions).
        parameters: Outputs of the decoder, (images, dimensions, outputs).
        scale: Standard deviation of the Gaussian likelihood.
        levels: Number of grey levels of the other likelihoods.

    Returns:
        Nats per image, (images,).
    """
    first = parameters[..., 0]
    if name == "bernoulli":
        each = np.where(x > 0.5, log_expit(first), log_expit(-first))
    elif name == "gaussian":
        each = norm.logpdf(x, first, scale)
    elif name == "categorical":
        level = np.round(x * (levels - 1)).astype(int)
        each = np.take_along_axis(log_softmax(parameters, axis=-1), level[..., None], -1)[..., 0]
    else:
        center, width = first + 0.5, np.exp(np.maximum(parameters[..., 1] - 2, -7))
        half = 0.5 / (levels - 1)
        # The outermost levels hold the tails of the logistic.
        low = np.where(x < half, -np.inf, x - half - center) / width
        high = np.where(x > 1 - half, np.inf, x + half - center) / width
        # The logistic is symmetric: beyond the centre its upper tails are subtracted, because a
        # difference of small numbers keeps its digits.
        mirror = x > center
        above = log_expit(np.where(mirror, -low, high))
        below = log_expit(np.where(mirror, -high, low))
        each = above + np.log1p(-np.exp(below - above))
    return each.sum(axis=1)


def pair(terms: np.ndarray) -> Pair:
    """The mean of terms and its standard error.

    Args:
        terms: Independent terms, (terms,).

    Returns:
        Both in the unit of the terms.
    """
    return float(np.mean(terms)), float(np.std(terms, ddof=1) / math.sqrt(len(terms)))


def _posteriors(codes: Codes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, scale, noise = (np.asarray(x, float) for x in (codes.mean, codes.scale, codes.noise))
    return mean, scale, noise


def _own_log_density(scale: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return np.sum(norm.logpdf(noise) - np.log(scale), axis=1)


def _log_normal(z: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.sum(norm.logpdf(z, mean, scale), axis=1)


def _pairwise(
    mean: np.ndarray, scale: np.ndarray, rows: Int[np.ndarray, " rows"], distance: Callable
) -> Pair:
    """- mean_n log (1/N) sum_m exp(-distance(q_n, q_m)) over some of the n and all m."""
    distances = [distance(mean[n], scale[n], mean, scale).sum(axis=1) for n in rows]
    return pair(math.log(len(mean)) - np.logaddexp.reduce(-np.array(distances), axis=1))


def _kl(mean: np.ndarray, scale: np.ndarray, means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    ratio = scale / scales
    return 0.5 * (ratio**2 + ((mean - means) / scales) ** 2 - 1) - np.log(ratio)


def _bhattacharyya(
    mean: np.ndarray, scale: np.ndarray, means: np.ndarray, scales: np.ndarray
) -> np.ndarray:
    middle = np.hypot(scale, scales) / math.sqrt(2)
    overlap = np.log(middle / scale) + np.log(middle / scales)
    return ((mean - means) / middle) ** 2 / 8 + 0.5 * overlap


def _gaussian_kl(mean: np.ndarray, scale: np.ndarray) -> float:
    """KL of the Gaussian with the moments of q(z) to a standard normal."""
    covariance = np.cov(mean.T, bias=True) + np.diag(np.mean(scale**2, axis=0))
    center = mean.mean(axis=0)
    log_det = np.linalg.slogdet(covariance)[1]
    return 0.5 * float(np.trace(covariance) + center @ center - mean.shape[1] - log_det)
