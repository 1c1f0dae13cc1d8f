"""Draws of images whose pixels depend on the pixels before them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from ratedistortion.models.likelihoods import Likelihood


def draw_pixels(
    decoder: Any,
    likelihood: Likelihood,
    z: Float[Array, "images latents"],
    key: PRNGKeyArray,
    dimensions: int,
) -> Float[Array, "images dimensions"]:
    """One draw of p(x|z) for every code, pixel by pixel in the order of the flat image.

    Args:
        decoder: Autoregressive: `decoder(z, x)` gives pixel i from pixels before i only. One that
            has `cache(z)` and `one(i, x, cache) -> (parameters of pixel i, cache)` does not start
            afresh at every pixel.
        likelihood: What the parameters mean.
        z: The codes.
        key: Of the draw.
        dimensions: Pixels times channels.
    """

    def whole(i: Array, x: Array, cache: Any) -> tuple[Array, Any]:
        parameters = decoder(z, x).reshape(-1, dimensions, likelihood.outputs)
        return parameters[:, i], cache

    one = getattr(decoder, "one", whole)
    cache = decoder.cache(z) if hasattr(decoder, "cache") else ()

    def fill(i: Array, carry: tuple[Array, Any]) -> tuple[Array, Any]:
        x, cache = carry
        parameters, cache = one(i, x, cache)
        pixel = likelihood.sample(jax.random.fold_in(key, i), parameters)
        return x.at[:, i].set(pixel), cache

    x = jnp.zeros((z.shape[0], dimensions), jnp.float32)
    return lax.fori_loop(0, dimensions, fill, (x, cache))[0]
