"""What the codes of one split say of its images: I(n;z) and the marginal KL, with bounds."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ratedistortion.estimators import (
    Estimate,
    Posteriors,
    bhattacharyya_lower_bound,
    estimate,
    marginal_kl_gaussian,
    mixture_terms,
    pairwise_kl_upper_bound,
    subset_bounds,
)
from ratedistortion.models.autoencoder import Functions, Model, Posterior

# Enough for a standard error of a few hundredths of a nat, at 0.4 of the exact estimate's time.
_LOWER_ROWS, _UPPER_ROWS = 192, 1024
# Codes from which on their spread is known well enough to choose an estimate of R by it.
_ENOUGH = 100
# Where densities are dear: as many subsets as a standard error needs, of so many images.
_SUBSETS, _SUBSET = 6, 128
ACTIVE_VARIANCE = 0.01
# Codes whose prior densities are computed at once.
_BATCH = 250


class Information(NamedTuple):
    """In nats per image, float64, as estimated: nothing is held within its bounds yet.

    Estimates are means over codes, given the N posteriors; their standard errors, sd / sqrt(M),
    are a little too large where the M codes are of most of the images. Posteriors that are not
    Gaussian have bounds of I(n;z) only, and nan elsewhere.

    Attributes:
        mutual_information: I(n;z).
        marginal_kl: KL(q(z) || p(z)).
        identity_residual: Of the codes, the mean of R - I(n;z) - marginal KL, with R by the path
            that does not see the other posteriors: 0 within its error.
        mutual_information_lower: A lower bound of I(n;z) that draws no codes.
        mutual_information_upper: An upper bound that draws none.
        marginal_kl_gaussian: A lower bound of the marginal KL; nan without a Gaussian prior.
        leave_one_out: The mean of log q_n(z) less log of the mixture of the other posteriors: an
            upper bound of I(X;Z) that explodes where posteriors are sharp.
        active_units: Latents whose posterior mean varies over the images.
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
    functions: Functions,
    model: Model,
    posterior: Posterior,
    distortions: Float[Array, "images"],
    rates: Float[Array, "images"],
    noise: Float[Array, "images latents"],
    chosen: Int[Array, "codes"],
) -> tuple[Estimate, Estimate, Information]:
    """The estimates for Gaussian posteriors: every chosen code against all N of them.

    Args:
        functions: The model's functions.
        model: Its parameters.
        posterior: Of every image of the split, float32.
        distortions: -log p(x|z) of every image, float64.
        rates: KL(q || p) of every image, float64, in closed form or by its one draw.
        noise: What one code of every posterior is drawn with, float32.
        chosen: The images whose codes are used, without repetition.

    Returns:
        R, R + D and what the codes say. Where R is a closed form it is known of all images, and
        the marginal KL is R less what the two differ by over the codes. Where it is not, the mean
        of the codes' I(n;z) + marginal KL estimates it too: that is the mean over n of the draws'
        log q(z|x_n) / p(z), given z, so it varies less; the draws are of more images. The surer
        one is taken.
    """
    log_scale, own_noise = _wide(posterior.log_scale), _wide(noise)[chosen]
    posteriors = Posteriors(_wide(posterior.mean), jnp.exp(log_scale))
    code = posteriors.mean[chosen] + posteriors.scale[chosen] * own_noise
    terms = mixture_terms(own_noise, chosen, posteriors)
    log_prior = lax.map(lambda z: functions.log_prior(model, z[None])[0], code, batch_size=_BATCH)
    marginal = terms.log_mixture - log_prior
    rate, negative_elbo = estimate(rates), estimate(rates + distortions)
    if functions.latent_rates(model, posterior) is not None:
        difference = estimate(marginal - rates[chosen])
        marginal_kl = difference._replace(value=rate.value + difference.value)
    else:
        marginal_kl, by_codes = estimate(marginal), terms.information + marginal
        of_codes, count = estimate(by_codes), len(chosen)
        both = _sum(of_codes, estimate(distortions), by_codes, distortions[chosen], len(rates))
        # Both spreads are those of the same codes: a few codes can all miss a heavy tail.
        spread = estimate(rates[chosen]).standard_error * math.sqrt(count / len(rates))
        surer = of_codes.standard_error < spread
        if count >= min(_ENOUGH, len(rates)):
            negative_elbo = _either(surer, both, negative_elbo)
            rate = _either(surer, of_codes, rate)
    gaussian_kl = jnp.float64(jnp.nan)
    standard = functions.standardize(model, posteriors.mean, log_scale)
    if standard is not None:
        mean, log_scale = standard
        gaussian_kl = marginal_kl_gaussian(Posteriors(mean, jnp.exp(log_scale)))
    residual = estimate(rates[chosen] - terms.information - marginal)
    # Besides the spread of the terms: that of their part which is rarely seen, and rounding.
    rare = jnp.sqrt(jnp.mean(terms.spread) / len(chosen))
    rounding = 8 * jnp.finfo(jnp.float64).eps * jnp.mean(jnp.abs(terms.log_own) + jnp.abs(marginal))
    error = jnp.maximum(residual.standard_error, jnp.maximum(rare, rounding))
    residual = residual._replace(standard_error=error)
    information = Information(
        mutual_information=estimate(terms.information),
        marginal_kl=marginal_kl,
        identity_residual=residual,
        mutual_information_lower=bhattacharyya_lower_bound(chosen[:_LOWER_ROWS], posteriors),
        mutual_information_upper=pairwise_kl_upper_bound(chosen[:_UPPER_ROWS], posteriors),
        marginal_kl_gaussian=gaussian_kl,
        leave_one_out=estimate(terms.log_own - terms.log_others),
        active_units=jnp.sum(jnp.var(posteriors.mean, axis=0) > ACTIVE_VARIANCE),
    )
    return rate, negative_elbo, information


def bounded_information(
    functions: Functions,
    model: Model,
    posterior: Posterior,
    distortions: Float[Array, "images"],
    rates: Float[Array, "images"],
    noise: Float[Array, "images latents"],
    chosen: Int[Array, "codes"],
) -> tuple[Estimate, Estimate, Information]:
    """The bounds for posteriors whose density is dear, from subsets of the chosen images.

    Arguments and results are those of `exact_information`.
    """
    size = min(_SUBSET, len(chosen))
    subsets = chosen[: min(len(chosen) // size, _SUBSETS) * size].reshape(-1, size)

    def one_subset(rows: Array) -> tuple[Array, Array]:
        # Only in float64 is a flow inverted to the noise of sharp posteriors.
        part, own = jax.tree.map(lambda leaf: _wide(leaf[rows]), (posterior, noise))
        z = functions.draw(model, part, own)

        def one_code(code: Array) -> Array:
            return functions.log_posterior(model, part, jnp.tile(code[None], (size, 1)))

        return subset_bounds(lax.map(one_code, z, batch_size=8))

    lower, upper = (estimate(bounds) for bounds in lax.map(one_subset, subsets))
    nothing = Estimate(jnp.float64(jnp.nan), jnp.float64(jnp.nan))
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
    return estimate(rates), estimate(rates + distortions), information


def terms_of_bounds(codes: int, exact: bool) -> tuple[int, int]:
    """How many terms the lower and the upper bound of I(n;z) are means of, given so many codes."""
    if exact:
        return min(codes, _LOWER_ROWS), min(codes, _UPPER_ROWS)
    subsets = min(codes // min(_SUBSET, codes), _SUBSETS)
    return subsets, subsets


def _sum(first: Estimate, second: Estimate, a: Array, b: Array, images: int) -> Estimate:
    """The sum of a mean over some images and one over all; a and b are the terms of the some."""
    covariance = jnp.mean((a - jnp.mean(a)) * (b - jnp.mean(b))) / images
    variance = first.standard_error**2 + second.standard_error**2 + 2 * covariance
    return Estimate(first.value + second.value, jnp.sqrt(jnp.maximum(variance, 0.0)))


def _either(first: Array, a: Estimate, b: Estimate) -> Estimate:
    """The first of two estimates or the second."""
    return Estimate(*(jnp.where(first, *pair) for pair in zip(a, b, strict=True)))


def _wide(x: Array) -> Array:
    return x.astype(jnp.float64)
