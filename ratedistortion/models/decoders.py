"""Decoders: a code z -> the parameters of p(x|z), one real number per dimension of x.

A member is `build(key, latents, hidden, dimensions)`: a pytree that maps (images, latents) to
(images, dimensions). Flax is imported when a member is built.
"""

from typing import Any


def linear(key: Any, latents: int, hidden: tuple[int, ...], dimensions: int) -> Any:
    """One affine map; `hidden` is not used."""
    from ratedistortion.models.layers import Mlp

    return Mlp(key, latents, (), dimensions)


def mlp(key: Any, latents: int, hidden: tuple[int, ...], dimensions: int) -> Any:
    """A network of `hidden` sigmoid linear layers, in reverse order."""
    from ratedistortion.models.layers import Mlp

    return Mlp(key, latents, hidden[::-1], dimensions)


DECODERS = {"linear": linear, "mlp": mlp}
