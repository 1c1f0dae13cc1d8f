"""One model measured on one split; nothing here knows that there are many."""

import math
from collections.abc import Callable
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
)
from ratedistortion.models.autoencoder import Functions, Model, Posterior

_IMAGES = 1000
_LOWER_ROWS, _UPPER_ROWS = 256, 2048
ACTIVE_VARIANCE = 0.01


class Measurement(NamedTuple):
    """All that is measured of one model on one split, in nats per image, float64.

    `rate`, `distortion` and `negative_elbo` are means over all images; their standard errors are
    those of the choice of images (and of one draw per image, for the latter two). The other
    estimates are means over codes, given the N posteriors.
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
    active_units: Int[Array, ""]


class Codes(NamedTuple):
    """The posterior of every image and one draw from it, float32, in data set order."""

    mean: Float[Array, "images latents"]
    scale: Float[Array, "images latents"]
    code: Float[Array, "images latents"]


def make_measure(
    functions: Functions, latents: int, scale: float, codes: int
) -> Callable[[Model, Array, Array], tuple[Measurement, Codes]]:
    """A function that measures one model on one split.

    Args:
        functions: The model's functions.
        latents: Latent dimensions.
        scale: What a stored number is multiplied by to be a value of x.
        codes: How many images' codes the mutual information and the marginal KL are averaged
            over, chosen at random; each is held against all N posteriors. More than there are
            images means all of them.

    Returns:
        `measure(model, images, seed)`, to be traced under `jax.enable_x64(True)`; images are
        (examples, dimensions) as stored. The same seed draws the same noise for every model.
    """

    def measure(model: Model, images: Array, seed: Array) -> tuple[Measurement, Codes]:
        count = images.shape[0]
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), count)
        noise_key, row_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (count, latents), jnp.float32)

        def one_block(rows: Array) -> tuple[Array, ...]:
            x = images[rows].astype(jnp.float32) * jnp.float32(scale)
            mean, log_scale = functions.encode(model, x)
            spread = jnp.exp(log_scale)
            z = mean + spread * noise[rows]
            log_likelihood = functions.log_likelihood(model, x, z)
            return mean, log_scale, spread, z, log_likelihood

        block = min(_IMAGES, count)
        blocks = -(-count // block)
        rows = jnp.minimum(jnp.arange(blocks * block), count - 1).reshape(blocks, block)
        mean, log_scale, spread, z, log_likelihood = (
            part.reshape(blocks * block, *part.shape[2:])[:count]
            for part in lax.map(one_block, rows)
        )
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
        leave_one_out = jnp.mean(terms.log_own - terms.log_others)
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
            population_information_upper=jnp.fmin(population, leave_one_out),
            active_units=jnp.sum(variance > ACTIVE_VARIANCE),
        )
        return measurement, Codes(mean, spread, z)

    return measure


def _wide(x: Array) -> Array:
    return x.astype(jnp.float64)
