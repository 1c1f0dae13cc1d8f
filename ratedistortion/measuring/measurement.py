"""One model measured on one split; nothing here knows that there are many."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ratedistortion.estimators import Estimate, estimate, importance_weighted_nll
from ratedistortion.measuring.information import bounded_information, exact_information
from ratedistortion.models.autoencoder import Functions, Model, Posterior

_LOG_2PI = math.log(2 * math.pi)
# Images that are measured at once: enough for fast matrix products, few enough for the memory that
# wide convolutions need.
BATCH = 250


class Measurement(NamedTuple):
    """All that is measured of one model on one split, in nats per image, float64, as estimated.

    `rate`, `distortion` and `negative_elbo` are means over images; their standard errors are
    those of the choice of images and of one draw per image. `nll_iwae` is nan where it was not
    asked for. The rest is explained in `Information`.
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
    leave_one_out: Estimate
    nll_iwae: Estimate
    active_units: Int[Array, ""]


class Codes(NamedTuple):
    """What was measured of every image, in data set order; float32 but for rate and distortion.

    The Gaussian is the posterior, or what the encoder's flow starts from.

    Attributes:
        mean: Of the Gaussian.
        scale: Its standard deviation.
        code: What the decoder saw: mean + scale * noise, or what a flow makes of that, rounded.
        noise: The standard normal numbers of the code. Only they tell the code of a sharp
            posterior from its mean.
        rate: KL(q(z|x) || p(z)) in nats, in closed form or by this one code, float64.
        distortion: -log p(x|z) of this code in nats, float64.
        chosen: The images whose codes I(n;z) and the marginal KL are averaged over.
    """

    mean: Float[Array, "images latents"]
    scale: Float[Array, "images latents"]
    code: Float[Array, "images latents"]
    noise: Float[Array, "images latents"]
    rate: Float[Array, "images"]
    distortion: Float[Array, "images"]
    chosen: Int[Array, "codes"]


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

    def values(images: Array) -> Array:
        return images.astype(jnp.float32) * jnp.float32(scale)

    def measure(model: Model, images: Array, seed: Array) -> tuple[Measurement, Codes]:
        count = images.shape[0]
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), count)
        noise_key, row_key, weight_key = jax.random.split(key, 3)
        noise = jax.random.normal(noise_key, (count, latents), jnp.float32)

        def one_image(inputs: tuple[Array, Array]) -> tuple[Any, ...]:
            image, own_noise = jax.tree.map(lambda leaf: leaf[None], inputs)
            x = values(image)
            posterior = functions.encode(model, x)
            z = functions.draw(model, posterior, own_noise)
            found = posterior, z, _wide(functions.log_likelihood(model, x, z))
            return jax.tree.map(lambda leaf: leaf[0], found)

        def one_rate(inputs: tuple[Posterior, Array]) -> Array:
            # Differences of large numbers: float64.
            part, own_noise = jax.tree.map(lambda leaf: _wide(leaf[None]), inputs)
            z = functions.draw(model, part, own_noise)
            return functions.rate(model, part, own_noise, z)[0]

        posterior, z, log_likelihood = lax.map(one_image, (images, noise), batch_size=BATCH)
        rates = lax.map(one_rate, (posterior, noise), batch_size=BATCH)
        chosen = jax.random.permutation(row_key, count)[: min(codes, count)]
        inform = exact_information if functions.gaussian(model) else bounded_information
        rate, negative_elbo, information = inform(
            functions, model, posterior, -log_likelihood, rates, noise, chosen
        )
        nll = Estimate(jnp.float64(jnp.nan), jnp.float64(jnp.nan))
        if iwae:
            nll = estimate(importance_weights(model, images, posterior, chosen, weight_key))
        measurement = Measurement(
            rate=rate,
            distortion=estimate(-log_likelihood),
            negative_elbo=negative_elbo,
            nll_iwae=nll,
            **information._asdict(),
        )
        scale = jnp.exp(posterior.log_scale)
        return measurement, Codes(posterior.mean, scale, z, noise, rates, -log_likelihood, chosen)

    def importance_weights(
        model: Model, images: Array, posterior: Posterior, rows: Array, key: Array
    ) -> Array:
        def one_image(row: Array) -> Array:
            x = values(images[row][None])
            part: Any = jax.tree.map(lambda leaf: leaf[row][None], posterior)
            constant = jnp.sum(_wide(part.log_scale), axis=-1) + _LOG_2PI * latents / 2

            def log_weight(k: Array) -> Array:
                draw = jax.random.fold_in(jax.random.fold_in(key, k), row)
                noise = jax.random.normal(draw, (1, latents), jnp.float32)
                z = functions.draw(model, part, noise)
                log_q = -0.5 * jnp.sum(_wide(noise) ** 2, axis=-1) - constant
                log_p = _wide(functions.log_likelihood(model, x, z))
                return log_p + functions.log_prior(model, _wide(z)) - log_q

            return importance_weighted_nll(log_weight, iwae, 1)[0]

        return lax.map(one_image, rows, batch_size=BATCH)

    return measure


def _wide(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree)
