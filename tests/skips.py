"""Linear maps and log scales for models that tests build by hand."""

import jax.numpy as jnp
import numpy as np

from ratedistortion.models.layers import LOG_SCALES
from ratedistortion.models.skip import Skip


def no_skip(dimensions: int, latents: int, outputs: int) -> Skip:
    """Maps that pass nothing, so that the networks are the whole model; every latent is open.

    Args:
        dimensions: Of an image.
        latents: Dimensions of a code.
        outputs: Real numbers for all dimensions of x together.
    """
    return Skip(
        centre=jnp.zeros((1, dimensions), jnp.float32),
        open=jnp.ones((1, latents), jnp.float32),
        encoder=jnp.zeros((dimensions, latents), jnp.float32),
        log_scale=jnp.zeros((1, latents), jnp.float32),
        decoder=jnp.zeros((latents, outputs), jnp.float32),
        bias=jnp.zeros((1, outputs), jnp.float32),
    )


def raw_log_scale(scale: float | np.ndarray) -> np.ndarray:
    """What an encoder gives for posteriors of this scale, the inverse of `bounded_log_scale`.

    Args:
        scale: Standard deviations.
    """
    log_scale = np.log(scale)
    return log_scale / np.sqrt(1 - (log_scale / np.where(log_scale < 0, *LOG_SCALES)) ** 2)
