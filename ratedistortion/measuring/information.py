"""I(n;z) and the marginal KL of one split, with bounds, from posteriors and codes."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ratedistortion import estimators
from ratedistortion.estimators import Estimate, MixtureTerms, Posteriors, estimate, mixture_terms
from ratedistortion.estimators.posteriors import LATENTS_PER_GROUP
from ratedistortion.models.autoencoder import Autoencoder, Model, Posterior

# Images that the lower and the upper bound of I(n;z) are averaged over. Their standard errors are
# then a few hundredths of a nat, and both together take half of the time of the exact estimate.
_LOWER_IMAGES, _UPPER_IMAGES = 192, 1024
# Codes that leave-one-out is averaged over where posteriors have many latents: see `mixture_terms`.
_OTHERS_CODES = 1024
# Fewest codes whose spread is known well enough to choose an estimate of R by it.
_MIN_CODES = 100
# Number of subsets, and images in each, where log q(z|x) of a flow takes long to compute.
_SUBSETS, _SUBSET = 6, 128
# Variance of a latent's posterior mean over the images above which the latent is active.
ACTIVE_VARIANCE = 0.01
# Codes whose prior densities are computed at once.
_BATCH = 250


class Codes(NamedTuple):
    """What was measured of every image, in the order of the data set.

    Attributes:
        mean: Mean of the Gaussian posterior, or of the Gaussian that the encoder's flow starts
            from; float32.
        scale: The standard deviation of the same Gaussian, float32.
        code: The code that the decoder got, float32: mean + scale * noise, or what a flow makes
            of that.
        noise: The standard normal numbers that the code was drawn with, float32. The code of a
            sharp posterior is rounded to its mean, and only the noise tells them apart.
        rate: KL(q(z|x) || p(z)) in nats, float64, in closed form or by this one code.
        distortion: -log p(x|z) of this code in nats, float64.
        chosen: The images whose codes I(n;z) and the marginal KL are averaged over.
        prior: `prior_mean` and `prior_scale` of a Gaussian p(z), of every latent; of another prior
            `log_prior`, log p(z) of every code in nats, float64.
    """

    mean: Float[Array, "images latents"]
    scale: Float[Array, "images latents"]
    code: Float[Array, "images latents"]
    noise: Float[Array, "images latents"]
    rate: Float[Array, "images"]
    distortion: Float[Array, "images"]
    chosen: Int[Array, "codes"]
    prior: dict[str, Array]


class Information(NamedTuple):
    """I(n;z), the marginal KL and their bounds, in nats per image, float64.

    The estimates stand as they came out: none is held within its bounds yet. They are means over
    codes, given the N posteriors; their standard errors, sd / sqrt(M), are a little too large
    where the M codes are of most of the images. Posteriors that are not Gaussian have bounds of
    I(n;z) only, and nan elsewhere.

    Attributes:
        mutual_information: I(n;z).
        marginal_kl: KL(q(z) || p(z)).
        identity_residual: Mean over the codes of R - I(n;z) - marginal KL, where R is computed
            without the posteriors of other images: 0 within its error.
        mutual_information_lower: A lower bound of I(n;z) that needs no codes.
        mutual_information_upper: An upper bound of I(n;z) that needs no codes.
        marginal_kl_gaussian: A lower bound of the marginal KL; nan without a Gaussian prior.
        leave_one_out: Mean of log q_n(z) - log of the mixture of the other posteriors: an upper
            bound of I(X;Z), which grows without limit where posteriors are sharp. It is a mean over
            the first 1,024 codes where there are more than 64 latents.
        active_units: How many latents have a posterior mean that varies over the images.
    """

    mutual_information: Estimate
    marginal_kl: Estimate
    identity_residual: Estimate
    mutual_information_lower: Estimate
    mutual_information_upper: Estimate
    marginal_kl_gaussian: Float[Array, ""]
    leave_one_out: Estimate
    active_units: Int[Array, ""]


def exact_information(
    autoencoder: Autoencoder, model: Model, posterior: Posterior, codes: Codes
) -> tuple[Estimate, Estimate, Information]:
    """Estimates for Gaussian posteriors: every chosen code is compared with all N of them.

    Args:
        autoencoder: The model, as pure functions.
        model: Its parameters.
        posterior: Of every image of the split, float32.
        codes: One of every posterior; `chosen`, without repetition, are used.

    Returns:
        R, R + D, and I(n;z) and the marginal KL with their bounds, in nats per image.

    Raises:
        ValueError: If 64-bit numbers are off in JAX.

    Source: Hoffman and Johnson, "ELBO surgery", NIPS workshop, 2016.
    """
    chosen, log_scale = codes.chosen, to_float64(posterior.log_scale)
    posteriors = Posteriors(to_float64(posterior.mean), jnp.exp(log_scale))
    code = posteriors.mean[chosen] + posteriors.scale[chosen] * to_float64(codes.noise)[chosen]
    log_prior = lax.map(lambda z: autoencoder.log_prior(model, z[None])[0], code, batch_size=_BATCH)
    gaussian_kl, standard = None, autoencoder.standardize(model, posteriors.mean, log_scale)
    if standard is not None:
        mean, log_scale = standard
        gaussian_kl = estimators.marginal_kl_gaussian(Posteriors(mean, jnp.exp(log_scale)))
    terms = Terms(codes.rate, codes.distortion, chosen, log_prior)
    return gaussian_information(posteriors, codes.noise, terms, gaussian_kl)


class Terms(NamedTuple):
    """What R, D and the marginal KL are means of, in nats, float64.

    Attributes:
        rate: KL(q(z|x) || p(z)) of every image, in closed form or by its code.
        distortion: -log p(x|z) of every image; nan where it is not known.
        chosen: The images whose codes I(n;z) and the marginal KL are averaged over.
        log_prior: log p(z) of the chosen codes.
    """

    rate: Float[Array, "images"]
    distortion: Float[Array, "images"]
    chosen: Int[Array, "codes"]
    log_prior: Float[Array, "codes"]


def gaussian_information(
    posteriors: Posteriors,
    noise: Float[Array, "images latents"],
    terms: Terms,
    gaussian_kl: Float[Array, ""] | None,
) -> tuple[Estimate, Estimate, Information]:
    """What `exact_information` computes, without a model.

    Args:
        posteriors: Of every image.
        noise: The standard normal numbers that the code of every image was drawn with.
        terms: Of all images and of the chosen codes.
        gaussian_kl: The lower bound of the marginal KL where p(z) is a Gaussian, and the rates are
            closed forms; None elsewhere.

    Returns:
        As of `exact_information`.

    Raises:
        ValueError: If 64-bit numbers are off in JAX.
    """
    chosen = terms.chosen
    _, _, others = terms_of_bounds(len(chosen), True, posteriors.mean.shape[1])
    mixture = mixture_terms(to_float64(noise)[chosen], chosen, posteriors, others)
    rate, negative_elbo, information = mixture_information(
        mixture, terms, len(posteriors.mean), gaussian_kl, others
    )
    lower_rows, upper_rows = chosen[:_LOWER_IMAGES], chosen[:_UPPER_IMAGES]
    information = information._replace(
        mutual_information_lower=estimators.bhattacharyya_lower_bound(lower_rows, posteriors),
        mutual_information_upper=estimators.pairwise_kl_upper_bound(upper_rows, posteriors),
        active_units=jnp.sum(jnp.var(posteriors.mean, axis=0) > ACTIVE_VARIANCE),
    )
    return rate, negative_elbo, information


def mixture_information(
    mixture: MixtureTerms,
    terms: Terms,
    images: int,
    gaussian_kl: Float[Array, ""] | None,
    others: int,
) -> tuple[Estimate, Estimate, Information]:
    """Estimates for posteriors of any family, from what the chosen codes say of them.

    Args:
        mixture: Of the chosen codes.
        terms: Of all images and of the chosen codes.
        images: N, the posteriors of the mixture.
        gaussian_kl: As for `gaussian_information`.
        others: How many of the codes have `mixture.log_others`.

    Returns:
        As of `exact_information`, but the bounds that need Gaussian posteriors are 0 and log N,
        and no units are counted.

    Raises:
        ValueError: If 64-bit numbers are off in JAX.
    """
    marginal = mixture.log_mixture - terms.log_prior
    rate, negative_elbo, marginal_kl = _rate_and_marginal_kl(
        gaussian_kl is not None, terms, mixture.information, marginal
    )
    zero = jnp.float64(0)
    information = Information(
        mutual_information=estimate(mixture.information),
        marginal_kl=marginal_kl,
        identity_residual=_identity_residual(terms.rate[terms.chosen], mixture, marginal),
        mutual_information_lower=Estimate(zero, zero),
        mutual_information_upper=Estimate(jnp.float64(math.log(images)), zero),
        marginal_kl_gaussian=jnp.float64(jnp.nan) if gaussian_kl is None else gaussian_kl,
        leave_one_out=estimate((mixture.log_own - mixture.log_others)[:others]),
        active_units=jnp.int64(0),
    )
    return rate, negative_elbo, information


def bounded_information(
    autoencoder: Autoencoder, model: Model, posterior: Posterior, codes: Codes
) -> tuple[Estimate, Estimate, Information]:
    """Bounds for posteriors whose density takes long to compute, from subsets of the images.

    Args:
        autoencoder: As for `exact_information`, as are all the others.
        model: Its parameters.
        posterior: The Gaussians that the encoder's flow starts from.
        codes: One of every posterior; the subsets are made of the images `chosen`.

    Returns:
        R, R + D, and the bounds of I(n;z), in nats per image; all else is nan.

    Raises:
        ValueError: If 64-bit numbers are off in JAX.
    """
    chosen = codes.chosen
    size = min(_SUBSET, len(chosen))
    subsets = chosen[: min(len(chosen) // size, _SUBSETS) * size].reshape(-1, size)

    def one_subset(rows: Array) -> tuple[Array, Array]:
        # In float32 the inverse of a flow would not give back the noise of a sharp posterior.
        part, own = to_float64(jax.tree.map(lambda leaf: leaf[rows], (posterior, codes.noise)))
        z = autoencoder.draw(model, part, own)

        def one_code(code: Array) -> Array:
            return autoencoder.log_posterior(model, part, jnp.tile(code[None], (size, 1)))

        return estimators.subset_bounds(lax.map(one_code, z, batch_size=8))

    lower, upper = (estimate(bounds) for bounds in lax.map(one_subset, subsets))
    nothing = not_estimated()
    information = Information(
        mutual_information=nothing,
        marginal_kl=nothing,
        identity_residual=nothing,
        mutual_information_lower=lower,
        mutual_information_upper=upper,
        marginal_kl_gaussian=nothing.value,
        leave_one_out=upper,
        active_units=jnp.int64(0),
    )
    return estimate(codes.rate), estimate(codes.rate + codes.distortion), information


def to_float64(tree: Any) -> Any:
    """The same arrays in float64.

    Args:
        tree: An array of real numbers, or a tree of such arrays.

    Returns:
        A tree of the same structure and shapes. Inside `jax.enable_x64(True)` only: elsewhere JAX
        warns and keeps float32.
    """
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree)


def terms_of_bounds(codes: int, exact: bool, latents: int) -> tuple[int, int, int]:
    """How many terms the bounds of I(n;z) and leave-one-out are means of.

    Args:
        codes: How many images are chosen.
        exact: Whether I(n;z) is estimated, and not only bounded.
        latents: Dimensions of a code.

    Returns:
        Terms of the lower bound, of the upper one, and of leave-one-out.
    """
    if not exact:
        subsets = min(codes // min(_SUBSET, codes), _SUBSETS)
        return subsets, subsets, subsets
    others = codes if latents <= LATENTS_PER_GROUP else min(codes, _OTHERS_CODES)
    return min(codes, _LOWER_IMAGES), min(codes, _UPPER_IMAGES), others


def not_estimated() -> Estimate:
    """Stands for an estimate that is not made: value and standard error are nan."""
    return Estimate(jnp.float64(jnp.nan), jnp.float64(jnp.nan))


def _rate_and_marginal_kl(
    closed_form: bool, terms: Terms, information: Array, marginal: Array
) -> tuple[Estimate, Estimate, Estimate]:
    """R, R + D and the marginal KL, each by the estimate with the smaller standard error.

    A rate in closed form is known of all images. The marginal KL is then R less the mean
    difference of the two over the codes. A rate by one code varies from draw to draw. The mean of
    the codes' I(n;z) + marginal KL estimates R too, and varies less: it is the mean over n of
    log q(z|x_n) / p(z), given z. But the draws are of more images than the codes.
    """
    rates, distortions, chosen = terms.rate, terms.distortion, terms.chosen
    rate, negative_elbo = estimate(rates), estimate(rates + distortions)
    if closed_form:
        difference = estimate(marginal - rates[chosen])
        return rate, negative_elbo, difference._replace(value=rate.value + difference.value)
    marginal_kl, by_codes = estimate(marginal), information + marginal
    of_codes, count = estimate(by_codes), len(chosen)
    both = _sum(of_codes, estimate(distortions), by_codes, distortions[chosen], len(rates))
    # Both spreads are of the same codes, because a few codes can all miss a heavy tail.
    spread = estimate(rates[chosen]).standard_error * math.sqrt(count / len(rates))
    surer = of_codes.standard_error < spread
    if count >= min(_MIN_CODES, len(rates)):
        negative_elbo = _either(surer, both, negative_elbo)
        rate = _either(surer, of_codes, rate)
    return rate, negative_elbo, marginal_kl


def _identity_residual(rates: Array, terms: MixtureTerms, marginal: Array) -> Estimate:
    """Mean of R - I(n;z) - marginal KL over the codes."""
    residual = estimate(rates - terms.information - marginal)
    # The spread of the terms misses a part that codes rarely show, and rounding: the error is at
    # least as large as each of these two.
    rare = jnp.sqrt(jnp.mean(terms.spread) / len(rates))
    rounding = 8 * jnp.finfo(jnp.float64).eps * jnp.mean(jnp.abs(terms.log_own) + jnp.abs(marginal))
    error = jnp.maximum(residual.standard_error, jnp.maximum(rare, rounding))
    return residual._replace(standard_error=error)


def _sum(first: Estimate, second: Estimate, a: Array, b: Array, images: int) -> Estimate:
    """The sum of a mean over some images and a mean over all; a, b: their terms on those some."""
    covariance = jnp.mean((a - jnp.mean(a)) * (b - jnp.mean(b))) / images
    variance = first.standard_error**2 + second.standard_error**2 + 2 * covariance
    return Estimate(first.value + second.value, jnp.sqrt(jnp.maximum(variance, 0.0)))


def _either(first: Array, a: Estimate, b: Estimate) -> Estimate:
    """Estimate a where `first` is true, else b."""
    return Estimate(*(jnp.where(first, *pair) for pair in zip(a, b, strict=True)))
