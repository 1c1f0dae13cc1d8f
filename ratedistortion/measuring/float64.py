"""The step from what a network computes in float32 to what is measured in float64."""

from typing import Any

import jax
import jax.numpy as jnp


def to_float64(tree: Any) -> Any:
    """The same arrays in float64.

    Args:
        tree: An array of real numbers, or a tree of such arrays.

    Returns:
        A tree of the same structure and shapes. Inside `jax.enable_x64(True)` only: elsewhere JAX
        warns and keeps float32.
    """
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree)
