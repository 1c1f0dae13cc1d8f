"""The refusal to compute in float32, in which log densities of sharp posteriors lose nats."""

from typing import Any

import jax
import jax.numpy as jnp


def require_float64(function: str, **arrays: Any) -> None:
    """Raise unless 64-bit numbers are on in JAX and all arrays are float64.

    Types are known when a function is traced, so the check takes no time when it runs.

    Args:
        function: Name of the function that needs them, for the message.
        **arrays: Its arrays by name, or trees of arrays; None is left out.

    Raises:
        ValueError: If 64-bit numbers are off, or an array has another type.

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators.float64 import require_float64
    >>> with jax.enable_x64(True):
    ...     require_float64("mean", terms=jnp.ones(3))
    >>> require_float64("mean", terms=jnp.ones(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: mean needs float64: 64-bit numbers are off in JAX. Call it inside `with ...
    """
    if jnp.result_type(float) == jnp.float64:  # JAX's default type of a float, here
        found = [
            f"{jax.tree_util.keystr(path, simple=True, separator='.')} is {array.dtype}"
            for path, array in jax.tree_util.tree_leaves_with_path(arrays)
            if array.dtype != jnp.float64
        ]
    else:
        found = ["64-bit numbers are off in JAX"]
    if found:
        raise ValueError(
            f"{function} needs float64: {', '.join(found)}. Call it inside"
            " `with jax.enable_x64(True):`, with float64 arrays that were made there too."
        )
