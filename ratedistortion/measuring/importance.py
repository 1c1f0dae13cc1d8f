"""The importance-weighted upper bound of -log p(x), of one image under one model."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ratedistortion.estimators import importance_weighted_nll
from ratedistortion.measuring.float64 import to_float64
from ratedistortion.models.autoencoder import Autoencoder, Model, Posterior

_LOG_2PI = math.log(2 * math.pi)


def importance_bound(
    autoencoder: Autoencoder,
    model: Model,
    x: Float[Array, "1 dimensions"],
    posterior: Posterior,
    index: Int[Array, ""],
    key: PRNGKeyArray,
    samples: int,
) -> Float[Array, ""]:
    r"""Upper bound of -log p(x) of one image, with codes drawn from its posterior.

    $$-\log \tfrac1K \sum_{k=1}^K \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)}, \qquad z_k \sim q(z|x).$$

    Args:
        autoencoder: The model, as pure functions.
        model: Its parameters.
        x: The image, float32.
        posterior: q(z|x) of this image, float32, with a leading axis of one image.
        index: Place of the image in its data set: each image draws other noise.
        key: Of the noise of all images.
        samples: K, at least 1.

    Returns:
        Nats, float64. Its mean over draws is at least -log p(x) and falls as K grows.

    Raises:
        ValueError: If 64-bit numbers are off in JAX.

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, eq. 8.
    """
    latents = posterior.mean.shape[-1]
    constant = jnp.sum(to_float64(posterior.log_scale), axis=-1) + _LOG_2PI * latents / 2

    def log_weight(k: Array) -> Array:
        draw = jax.random.fold_in(jax.random.fold_in(key, k), index)
        noise = jax.random.normal(draw, (1, latents), jnp.float32)
        z = autoencoder.draw(model, posterior, noise)
        log_q = -0.5 * jnp.sum(to_float64(noise) ** 2, axis=-1) - constant
        log_p = to_float64(autoencoder.log_likelihood(model, x, z))
        return log_p + autoencoder.log_prior(model, to_float64(z)) - log_q

    return importance_weighted_nll(log_weight, samples, 1)[0]
