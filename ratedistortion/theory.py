r"""Sources whose rate-distortion function is known, in nats."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float


class Optimum(NamedTuple):
    """The best point that a linear-Gaussian model can reach at one beta."""

    rate: float
    """Nats per image."""
    mse: float
    """Squared error, summed over the dimensions."""
    distortion: float
    """Nats per image: the mean of -log p(x|z)."""


def gaussian_rate(
    mse: Float[np.ndarray, " points"], variances: Float[np.ndarray, " dimensions"]
) -> Float[np.ndarray, " points"]:
    r"""R(D) of a Gaussian source under squared error, by reverse water-filling.

    $$R = \tfrac12 \sum_i \max(0, \ln(l_i / \theta)), \qquad D = \sum_i \min(l_i, \theta).$$

    Args:
        mse: D, squared error summed over the dimensions, above 0.
        variances: The eigenvalues l of the source's covariance, at least 0.

    Returns:
        The least rate, in nats, at each D: exact, and 0 from the total variance on.

    Raises:
        ValueError: If an error is not above 0, where the rate is infinite.

    Source: Cover and Thomas, "Elements of information theory", theorem 10.3.3.
    """
    if not np.all(mse > 0):
        raise ValueError("mse must be above 0: the rate of a lossless code is infinite.")
    # D is piecewise linear in the water level, with its corners at the eigenvalues.
    corners = np.concatenate([[0.0], np.sort(variances)])
    level = np.interp(mse, np.minimum(variances, corners[:, None]).sum(1), corners)
    return _rate_at(level, variances)


def linear_gaussian_optimum(
    variances: Float[np.ndarray, " dimensions"], scale: float, beta: float
) -> Optimum:
    r"""Where a beta-VAE with linear encoder and decoder and Gaussian likelihood ends, exactly.

    With a decoder N(Wz + b, s^2 I) of fixed s, a standard normal prior and as many latents as
    dimensions, the optimum of D + beta R is the reverse water-filling point at
    $$\theta = \beta s^2.$$
    There the aggregate posterior is the prior, so the marginal KL is 0 and I(X; Z) = R.

    Args:
        variances: The eigenvalues of the source's covariance, above 0.
        scale: s, the standard deviation of the likelihood, above 0.
        beta: The weight of the rate, above 0.

    Returns:
        Rate, squared error and distortion, exact.

    Raises:
        ValueError: If scale or beta is not above 0.

    Source: Lucas et al., "Don't blame the ELBO!", 2019, for beta = 1; the general case follows
    from the substitution of beta s^2 for s^2.
    """
    if not (scale > 0 and beta > 0):
        raise ValueError(f"scale and beta must be above 0: got {scale:g} and {beta:g}.")
    level = beta * scale**2
    mse = float(np.minimum(variances, level).sum())
    rate = float(_rate_at(np.array([level]), variances)[0])
    return Optimum(rate, mse, _gaussian_distortion(mse, len(variances), scale))


def bernoulli_entropy(probability: float) -> float:
    """Entropy of one Bernoulli variable, in nats: its log-loss frontier is R = max(0, H - D).

    Raises:
        ValueError: If the probability lies outside [0, 1].

    Source: Courtade and Weissman, "Multiterminal source coding under logarithmic loss", 2014.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"a probability must lie in [0, 1]: got {probability:g}.")
    return -sum(p * math.log(p) for p in (probability, 1 - probability) if p > 0)


def known_curve(
    settings: dict[str, Any],
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]] | None:
    """The exact frontier of a synthetic source, in the units of the table.

    Args:
        settings: The fields of `Settings`, as the table's metadata hold them. Known are
            `gaussian:VARIANCES` under the Gaussian likelihood and `bernoulli:P,DIMENSIONS` under
            the Bernoulli likelihood, where D = -log p(x|z).

    Returns:
        Distortion and rate along the curve, in nats per image; None where it is not known.
    """
    source, _, text = str(settings.get("dataset", "")).partition(":")
    pair = (source, settings.get("likelihood"))
    try:
        numbers = [float(item) for item in text.split(",")]
        if pair == ("bernoulli", "bernoulli"):
            probability, dimensions = numbers
            entropy = bernoulli_entropy(probability) * dimensions
            return np.array([0.0, entropy]), np.array([entropy, 0.0])
        # Binarised, it is another source.
        if pair != ("gaussian", "gaussian") or settings.get("binarize", "none") != "none":
            return None
        variances = np.array(numbers)
        scale = float(settings["likelihood_scale"])
        # Down to a millionth of the largest variance: 7 nats in each dimension.
        mse = np.geomspace(1e-6 * variances.max(), variances.sum(), 400)
        rate = gaussian_rate(mse, variances)
        return _gaussian_distortion(mse, len(variances), scale), rate
    except (KeyError, TypeError, ValueError):
        return None


def _rate_at(level: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """The rate at each water level."""
    return 0.5 * np.log(np.maximum(variances / level[:, None], 1)).sum(1)


def _gaussian_distortion(mse, dimensions: int, scale: float):
    """The mean of -log N(x; mean, scale^2) at a squared error."""
    return dimensions / 2 * math.log(2 * math.pi * scale**2) + mse / (2 * scale**2)
