"""What the gallery shows of one model: reconstructions of images, and samples of the prior."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ratedistortion.models.autoencoder import Autoencoder, Model

# How many images, and how many samples.
PICTURES = 10


def make_pictures(
    autoencoder: Autoencoder, scale: float
) -> Callable[[Model, Array, Array], dict[str, Array]]:
    """A function that draws the pictures of one model.

    Args:
        autoencoder: The model, as pure functions.
        scale: What a stored number is multiplied by to be a value of x.

    Returns:
        `pictures(model, images, seed)`; images are (examples, dimensions) as stored. It returns
        `reconstructions` of the images from the middle of their posteriors, and PICTURES
        `samples` decoded from the prior, each (count, dimensions), float32: expected images, or
        draws where the decoder's pixels depend on one another.
    """

    def pictures(model: Model, images: Array, seed: Array) -> dict[str, Array]:
        posterior = autoencoder.encode(model, images.astype(jnp.float32) * jnp.float32(scale))
        keys = jax.random.split(jax.random.key(seed, impl="threefry2x32"), 3)
        codes = {
            "reconstructions": autoencoder.draw(model, posterior, 0 * posterior.mean),
            "samples": autoencoder.sample_prior(model, keys[0], PICTURES),
        }
        return {
            name: autoencoder.decode(model, z, key)
            for (name, z), key in zip(codes.items(), keys[1:], strict=True)
        }

    return pictures
