"""One model measured on one split; nothing here knows that there are many."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ratedistortion.estimators import (
    Estimate,
    Posteriors,
    bhattacharyya_lower_bound,
    estimate,
    importance_weighted_nll,
    marginal_kl_gaussian,
    mixture_terms,
    pairwise_kl_upper_bound,
)
from ratedistortion.models.autoencoder import Functions, Model, Posterior

_IMAGES = 1000
# Enough for a standard error of a few hundredths of a nat, at 0.4 of the exact estimate's time.
_LOWER_ROWS, _UPPER_ROWS = 192, 1024
_LOG_2PI = math.log(2 * math.pi)
ACTIVE_VARIANCE = 0.01


class Measurement(NamedTuple):
    """All that is measured of one model on one split, in nats per image, float64.

    `rate`, `distortion` and `negative_elbo` are means over all images; their standard errors are
    those of the choice of images (and of one draw per image, for the latter two). The other
    estimates are means over codes, given the N posteriors; their standard errors, sd / sqrt(M),
    are a little too large where the M codes are of most of the images. `leave_one_out` is nan
    where it is no use, `nll_iwae` where it was not asked for.
    """

    rate: Estimate
    distortion: Estimate
    negative_elbo: Estimate
    mutual_information: Estimate
    marginal_kl: Estimate
    identity_residual: Estimate
    mutual_information_lower: Estimate
    mutual_information_upper: Estimate
    marginal_kl_gaussian: Float[Array, ""]
    population_information_upper: Float[Array, ""]
    leave_one_out: Estimate
    nll_iwae: Estimate
    active_units: Int[Array, ""]


class Codes(NamedTuple):
    """The posterior of every image and one draw from it, float32, in data set order."""

    mean: Float[Array, "images latents"]
    scale: Float[Array, "images latents"]
    code: Float[Array, "images latents"]


def make_measure(
    functions: Functions, latents: int, scale: float, codes: int, iwae: int = 0
) -> Callable[[Model, Array, Array], tuple[Measurement, Codes]]:
    """A function that measures one model on one split.

    Args:
        functions: The model's functions.
        latents: Latent dimensions.
        scale: What a stored number is multiplied by to be a value of x.
        codes: How many images' codes the mutual information and the marginal KL are averaged
            over, chosen at random; each is held against all N posteriors. More than there are
            images means all of them.
        iwae: Importance samples of each of those images for `nll_iwae`; 0 leaves it out.

    Returns:
        `measure(model, images, seed)`, to be traced under `jax.enable_x64(True)`; images are
        (examples, dimensions) as stored. The same seed draws the same noise for every model.
    """

    def measure(model: Model, images: Array, seed: Array) -> tuple[Measurement, Codes]:
        count = images.shape[0]
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), count)
        noise_key, row_key, weight_key = jax.random.split(key, 3)
        noise = jax.random.normal(noise_key, (count, latents), jnp.float32)

        def one_block(rows: Array) -> tuple[Array, ...]:
            x = images[rows].astype(jnp.float32) * jnp.float32(scale)
            mean, log_scale = functions.encode(model, x)
            spread = jnp.exp(log_scale)
            z = mean + spread * noise[rows]
            log_likelihood = functions.log_likelihood(model, x, z)
            return mean, log_scale, spread, z, log_likelihood

        mean, log_scale, spread, z, log_likelihood = in_blocks(one_block, jnp.arange(count))
        posteriors = Posteriors(_wide(mean), _wide(spread))
        rates = functions.rate(model, Posterior(posteriors.mean, _wide(log_scale)))
        distortions = -_wide(log_likelihood)

        chosen = jax.random.permutation(row_key, count)[: min(codes, count)]
        code = _wide(z)[chosen]
        terms = mixture_terms(code, None, chosen, posteriors)
        marginal = terms.log_mixture - functions.log_prior(model, code)
        rate = estimate(rates)
        information, marginal_kl = estimate(terms.information), estimate(marginal)
        # The mean of numbers that are all log N can be a last digit above it.
        limit = jnp.float64(math.log(count))
        information = information._replace(value=jnp.clip(information.value, 0.0, limit))
        residual = Estimate(
            rate.value - information.value - marginal_kl.value,
            estimate(terms.information + marginal).standard_error,
        )
        lower = bhattacharyya_lower_bound(chosen[:_LOWER_ROWS], posteriors)
        upper = pairwise_kl_upper_bound(chosen[:_UPPER_ROWS], posteriors)
        without_sampling = limit
        population = rate.value
        gaussian_kl = jnp.float64(jnp.nan)
        if functions.gaussian_prior:
            gaussian_kl = marginal_kl_gaussian(posteriors)
            population = population - gaussian_kl
            without_sampling = jnp.minimum(without_sampling, population)
        upper = Estimate(
            jnp.minimum(upper.value, without_sampling),
            jnp.where(upper.value < without_sampling, upper.standard_error, 0.0),
        )
        leave_one_out = estimate(terms.log_own - terms.log_others)
        # Sharp posteriors leave a code with no other posterior near, and it explodes; wide ones
        # leave it noise, of which a minimum would take the lucky side.
        useful = leave_one_out.value + 2 * leave_one_out.standard_error < population
        leave_one_out = Estimate(*(jnp.where(useful, part, jnp.nan) for part in leave_one_out))
        nll = Estimate(jnp.float64(jnp.nan), jnp.float64(jnp.nan))
        if iwae:
            weights = (model, images, posteriors, log_scale, chosen, weight_key)
            nll = estimate(importance_weights(*weights))
        variance = jnp.var(posteriors.mean, axis=0)
        measurement = Measurement(
            rate=rate,
            distortion=estimate(distortions),
            negative_elbo=estimate(rates + distortions),
            mutual_information=information,
            marginal_kl=marginal_kl,
            identity_residual=residual,
            mutual_information_lower=lower,
            mutual_information_upper=upper,
            marginal_kl_gaussian=gaussian_kl,
            population_information_upper=jnp.fmin(population, leave_one_out.value),
            leave_one_out=leave_one_out,
            nll_iwae=nll,
            active_units=jnp.sum(variance > ACTIVE_VARIANCE),
        )
        return measurement, Codes(mean, spread, z)

    def importance_weights(
        model: Model,
        images: Array,
        posteriors: Posteriors,
        log_scale: Array,
        rows: Array,
        key: Array,
    ) -> Array:
        def one_block(block: Array) -> Array:
            x = images[block].astype(jnp.float32) * jnp.float32(scale)
            constant = jnp.sum(_wide(log_scale[block]), axis=-1) + _LOG_2PI * latents / 2

            def log_weight(k: Array) -> Array:
                shape = (block.shape[0], latents)
                draw = jax.random.fold_in(jax.random.fold_in(key, k), block[0])
                noise = jax.random.normal(draw, shape, jnp.float32)
                z = (
                    posteriors.mean[block].astype(jnp.float32)
                    + posteriors.scale[block].astype(jnp.float32) * noise
                )
                log_q = -0.5 * jnp.sum(_wide(noise) ** 2, axis=-1) - constant
                log_p = _wide(functions.log_likelihood(model, x, z))
                return log_p + functions.log_prior(model, _wide(z)) - log_q

            return importance_weighted_nll(log_weight, iwae, block.shape[0])

        return in_blocks(one_block, rows)

    return measure


def in_blocks(function: Callable[[Array], Any], rows: Int[Array, "rows"]) -> Any:
    """`function` over blocks of rows, as if over all of them at once; the last block is padded.

    Args:
        function: Row numbers (block,) -> a tree of arrays with the axis of the rows first.
        rows: Any row numbers.
    """
    count = rows.shape[0]
    size = min(_IMAGES, count)
    blocks = -(-count // size)
    padded = rows[jnp.minimum(jnp.arange(blocks * size), count - 1)].reshape(blocks, size)
    return jax.tree.map(
        lambda part: part.reshape(blocks * size, *part.shape[2:])[:count],
        lax.map(function, padded),
    )


def _wide(x: Array) -> Array:
    return x.astype(jnp.float64)
