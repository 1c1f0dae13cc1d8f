"""What the gallery shows of one model: reconstructions of images, and samples of the prior."""

import jax
from jaxtyping import Array

from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.models.shapes import Images

# How many images, and how many samples.
PICTURES = 10


def pictures(autoencoder: Autoencoder, model: Model, x: Images, seed: Array) -> dict[str, Images]:
    """Draws the pictures of one model.

    Args:
        autoencoder: The model, as pure functions.
        model: Its parameters.
        x: The images that are reconstructed.
        seed: Of all draws.

    Returns:
        `reconstructions` of the images from the middle of their posteriors, and PICTURES
        `samples` decoded from the prior, float32: expected images, or draws where the decoder's
        pixels depend on one another.
    """
    posterior = autoencoder.encode(model, x)
    keys = jax.random.split(jax.random.key(seed, impl="threefry2x32"), 3)
    codes = {
        "reconstructions": autoencoder.draw(model, posterior, 0 * posterior.mean),
        "samples": autoencoder.sample_prior(model, keys[0], PICTURES),
    }
    return {
        name: autoencoder.decode(model, z, key)
        for (name, z), key in zip(codes.items(), keys[1:], strict=True)
    }
