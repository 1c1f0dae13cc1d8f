"""A function of many rows, a few hundred of them at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

# Enough for a matrix product to be fast, few enough for the patches of wide convolutions.
_ROWS = 250


def in_blocks(function: Callable[[Array], Any], rows: Int[Array, "rows"]) -> Any:
    """`function` over blocks of rows, as if over all of them at once; the last block is padded.

    Args:
        function: Row numbers (block,) -> a tree of arrays with the axis of the rows first.
        rows: Any row numbers.
    """
    count = rows.shape[0]
    size = min(_ROWS, count)
    blocks = -(-count // size)
    padded = rows[jnp.minimum(jnp.arange(blocks * size), count - 1)].reshape(blocks, size)
    parts = jax.tree.map(
        lambda part: part.reshape(blocks * size, *part.shape[2:])[:count],
        lax.map(function, padded),
    )
    # What follows is compiled apart, so that it is compiled alike for every size of block.
    return lax.optimization_barrier(parts)
