"""Draws of images whose pixels depend on the pixels before them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PRNGKeyArray

from ratedistortion.models.interfaces import AutoregressiveDecoder
from ratedistortion.models.likelihoods import Likelihood
from ratedistortion.models.shapes import Codes, Images


def draw_pixels(
    decoder: AutoregressiveDecoder,
    likelihood: Likelihood,
    z: Codes,
    linear: Array,
    key: PRNGKeyArray,
    units: np.ndarray | Array,
) -> Images:
    """Draws one image from p(x|z) for every code, pixel by pixel in the order of the flat image.

    Args:
        decoder: Gives the parameters of each pixel, from the code and the pixels before it.
        likelihood: What the parameters mean.
        z: The codes.
        linear: What is added to the decoder's outputs, (images, dimensions, outputs).
        key: Of the draw.
        units: Units of the likelihood in one unit of x, for each dimension.

    Returns:
        Images.
    """
    units = jnp.asarray(units)

    def fill(i: Array, carry: tuple[Array, Any]) -> tuple[Array, Any]:
        x, cache = carry
        parameters, cache = decoder.one(i, x, cache)
        pixel = likelihood.sample(
            jax.random.fold_in(key, i), (parameters + linear[:, i]) * units[i]
        )
        return x.at[:, i].set(pixel / units[i]), cache

    cache = decoder.cache(z)
    x = jnp.zeros((z.shape[0], len(units)), jnp.float32)
    return lax.fori_loop(0, len(units), fill, (x, cache))[0]
