"""What the codes of one split say of its images: I(n;z) and the marginal KL, with bounds."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ratedistortion.blocks import in_blocks
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
# Where densities are dear: as many subsets as a standard error needs, of so many images.
_SUBSETS, _SUBSET = 6, 128
ACTIVE_VARIANCE = 0.01


class Information(NamedTuple):
    """In nats per image, float64; nan where there is no number.

    Estimates are means over codes, given the N posteriors; their standard errors, sd / sqrt(M),
    are a little too large where the M codes are of most of the images. Where R is a closed form,
    the marginal KL is R and the mean over codes of what it differs by: R is known of all images.
    `leave_one_out` is nan where it is no use. Posteriors that are not Gaussian have bounds of
    I(n;z) only.
    """

    mutual_information: Estimate
    marginal_kl: Estimate
    identity_residual: Estimate
    mutual_information_lower: Estimate
    mutual_information_upper: Estimate
    marginal_kl_gaussian: Float[Array, ""]
    population_information_upper: Float[Array, ""]
    leave_one_out: Estimate
    active_units: Int[Array, ""]


def exact_information(
    functions: Functions,
    model: Model,
    posterior: Posterior,
    rates: Float[Array, "images"],
    z: Float[Array, "images latents"],
    chosen: Int[Array, "codes"],
) -> Information:
    """The estimates for Gaussian posteriors: every chosen code against all N of them.

    Args:
        functions: The model's functions.
        model: Its parameters.
        posterior: Of every image of the split, float32.
        rates: KL(q || p) of every image, float64; their mean is R.
        z: One draw from every posterior, float32.
        chosen: The images whose codes are used, without repetition.
    """
    rate, count = estimate(rates), z.shape[0]
    log_scale = _wide(posterior.log_scale)
    posteriors = Posteriors(_wide(posterior.mean), jnp.exp(log_scale))
    code = _wide(z)[chosen]
    terms = mixture_terms(code, None, chosen, posteriors)
    log_prior = in_blocks(
        lambda rows: functions.log_prior(model, code[rows]), jnp.arange(len(chosen))
    )
    marginal = terms.log_mixture - log_prior
    information, marginal_kl = estimate(terms.information), estimate(marginal)
    # The mean of numbers that are all log N can be a last digit above it.
    limit = jnp.float64(math.log(count))
    information = information._replace(value=jnp.clip(information.value, 0.0, limit))
    residual = estimate(terms.information + marginal)
    if functions.latent_rates(model, posterior) is not None:
        difference = estimate(marginal - rates[chosen])
        marginal_kl = difference._replace(value=rate.value + difference.value)
        residual = estimate(rates[chosen] - terms.information - marginal)
    residual = residual._replace(value=rate.value - information.value - marginal_kl.value)
    upper = pairwise_kl_upper_bound(chosen[:_UPPER_ROWS], posteriors)
    upper, gaussian_kl = _at_most(_at_most(upper, _exactly(limit)), rate), jnp.float64(jnp.nan)
    standard = functions.standardize(model, posteriors.mean, log_scale)
    if standard is not None:
        mean, log_scale = standard
        gaussian_kl = marginal_kl_gaussian(Posteriors(mean, jnp.exp(log_scale)))
        upper = _at_most(upper, _exactly(rate.value - gaussian_kl))
    leave_one_out = _if_useful(estimate(terms.log_own - terms.log_others), rate.value)
    # What is below another estimate of the same is so by its error.
    population = jnp.maximum(leave_one_out.value, information.value)
    return Information(
        mutual_information=information,
        marginal_kl=marginal_kl,
        identity_residual=residual,
        mutual_information_lower=bhattacharyya_lower_bound(chosen[:_LOWER_ROWS], posteriors),
        mutual_information_upper=upper,
        marginal_kl_gaussian=gaussian_kl,
        population_information_upper=jnp.fmin(rate.value, population),
        leave_one_out=leave_one_out,
        active_units=jnp.sum(jnp.var(posteriors.mean, axis=0) > ACTIVE_VARIANCE),
    )


def bounded_information(
    functions: Functions,
    model: Model,
    posterior: Posterior,
    rates: Float[Array, "images"],
    noise: Float[Array, "images latents"],
    chosen: Int[Array, "codes"],
) -> Information:
    """The bounds for posteriors whose density is dear, from subsets of the chosen images.

    The arguments are those of `exact_information`, but for the noise that the codes are drawn
    with again here: only in float64 is a flow inverted to the noise of sharp posteriors.
    """
    rate, count = estimate(rates), noise.shape[0]
    size = min(_SUBSET, len(chosen))
    subsets = chosen[: min(len(chosen) // size, _SUBSETS) * size].reshape(-1, size)

    def one_subset(rows: Array) -> tuple[Array, Array]:
        part, own = jax.tree.map(lambda leaf: _wide(leaf[rows]), (posterior, noise))
        z = functions.draw(model, part, own)

        def one_code(code: Array) -> Array:
            return functions.log_posterior(model, part, jnp.tile(code[None], (size, 1)))

        return subset_bounds(lax.map(one_code, z, batch_size=8))

    lower, upper = (estimate(bounds) for bounds in lax.map(one_subset, subsets))
    nothing = Estimate(jnp.float64(jnp.nan), jnp.float64(jnp.nan))
    limit = _exactly(jnp.float64(math.log(count)))
    leave_one_out = _if_useful(upper, rate.value)
    upper = _at_most(_at_most(upper, rate), limit)
    lower = lower._replace(value=jnp.maximum(lower.value, 0.0))
    population = jnp.maximum(leave_one_out.value, lower.value)
    return Information(
        mutual_information=nothing,
        marginal_kl=nothing,
        identity_residual=nothing,
        # Sampling error can take a bound across the other, or below zero.
        mutual_information_lower=lower,
        mutual_information_upper=upper._replace(value=jnp.maximum(upper.value, 0.0)),
        marginal_kl_gaussian=nothing.value,
        population_information_upper=jnp.fmin(rate.value, population),
        leave_one_out=leave_one_out,
        active_units=jnp.int64(0),
    )


def _at_most(bound: Estimate, limit: Estimate) -> Estimate:
    """The lesser of two estimates; nan counts as no bound."""
    lesser = bound.value < limit.value
    return Estimate(*(jnp.where(lesser, *pair) for pair in zip(bound, limit, strict=True)))


def _exactly(value: Array) -> Estimate:
    return Estimate(value, jnp.float64(0.0))


def _if_useful(leave_one_out: Estimate, other: Array) -> Estimate:
    """Itself where it says more than another upper bound, and nan elsewhere.

    Sharp posteriors leave a code with no other posterior near, and it explodes; wide ones leave
    it noise, of which a minimum would take the lucky side.
    """
    useful = leave_one_out.value + 2 * leave_one_out.standard_error < other
    return Estimate(*(jnp.where(useful, part, jnp.nan) for part in leave_one_out))


def _wide(x: Array) -> Array:
    return x.astype(jnp.float64)
