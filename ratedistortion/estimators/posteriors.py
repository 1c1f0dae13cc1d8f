"""Diagonal Gaussian posteriors, sorted and cut into tiles so that far ones cost little."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# So many posteriors are compared at once, and so many of their latents summed. Where there are more
# latents, those that tell images apart best come first, and no more are summed once all posteriors
# of a tile are too far from what they are compared with.
_POSTERIORS_PER_TILE, LATENTS_PER_GROUP = 2048, 64
# Latents by whose signs alike posteriors are found.
_SORTED_BY = 8


class Posteriors(NamedTuple):
    """Diagonal Gaussian posteriors q(z|x_n), float64.

    Attributes:
        mean: Of every image and latent dimension.
        scale: The standard deviations, above 0.
    """

    mean: Float[Array, "posteriors latents"]
    scale: Float[Array, "posteriors latents"]


def by_difference(
    mean: Float[Array, "posteriors latents"], scale: Float[Array, "posteriors latents"]
) -> tuple[Array, Array, Int[Array, "latents"], Int[Array, ""]]:
    """Sorts the latents by how well they tell the posteriors apart.

    Args:
        mean: Of every posterior, centred.
        scale: Its standard deviations.

    Returns:
        Means and scales with the best latents first; the order of these; and how many of them
        must be summed, a multiple of a group: the others are equal in all posteriors.
    """
    told = jnp.mean((mean / scale) ** 2, axis=0)
    told = jnp.where(jnp.isnan(told), jnp.inf, told)  # nan must not be left out
    equal = (jnp.ptp(mean, axis=0) <= 0) & (jnp.ptp(scale, axis=0) <= 0)
    order = jnp.argsort(jnp.where(equal, 1.0, -told))
    groups = -(-jnp.sum(~equal) // LATENTS_PER_GROUP)
    return mean[:, order], scale[:, order], order, groups * LATENTS_PER_GROUP


def by_likeness(mean: Float[Array, "posteriors latents"]) -> Int[Array, "posteriors"]:
    """Sorts posteriors by the signs of their means in the first latents.

    Args:
        mean: Centred, with the latents that tell the most first.

    Returns:
        The order of the posteriors, in which those that are alike lie side by side.

    Example:
        >>> by_likeness(jnp.array([[1.0], [-1.0], [2.0], [-2.0]])).tolist()
        [1, 3, 0, 2]
    """
    signs = (mean[:, :_SORTED_BY] > 0).astype(int)
    return jnp.argsort(signs @ 2 ** jnp.arange(signs.shape[1])[::-1])


def tiled(x: Float[Array, "posteriors ..."], filling: float) -> Float[Array, "tiles size ..."]:
    """Cuts an array of posteriors into tiles of equal size, which are compared one by one.

    Args:
        x: A row for each posterior.
        filling: Every number of the rows that fill up the last tile.

    Returns:
        The same rows in the same order; a tile has at most 2,048.
    """
    count = x.shape[0]
    tiles = -(-count // _POSTERIORS_PER_TILE)
    size = -(-count // tiles)
    padding = ((0, tiles * size - count), *[(0, 0)] * (x.ndim - 1))
    return jnp.pad(x, padding, constant_values=filling).reshape(tiles, size, *x.shape[1:])
