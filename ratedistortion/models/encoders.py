"""Encoders: x -> mean and log scale of the Gaussian posterior q(z|x).

A member is `build(key, dimensions, hidden, latents)`: a pytree that, called with x of shape
(images, dimensions), returns the mean and the log of the standard deviation, each (images,
latents). Flax is imported when a member is built, so that the names can be read at no cost.
"""

from typing import Any


def linear(key: Any, dimensions: int, hidden: tuple[int, ...], latents: int) -> Any:
    """A mean that is affine in x and one log scale for all x; `hidden` is not used."""
    from ratedistortion.models.layers import LinearEncoder

    return LinearEncoder(key, dimensions, latents)


def mlp(key: Any, dimensions: int, hidden: tuple[int, ...], latents: int) -> Any:
    """A network of `hidden` sigmoid linear layers for the mean and the log scale."""
    from ratedistortion.models.layers import MlpEncoder

    return MlpEncoder(key, dimensions, hidden, latents)


ENCODERS = {"linear": linear, "mlp": mlp}
