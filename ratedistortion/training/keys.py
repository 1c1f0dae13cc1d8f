"""The random keys of a run: one for each purpose, from its seed."""

import jax
from jaxtyping import Array, PRNGKeyArray

_PURPOSES = ("model", "order", "noise", "held out", "scale")


def key_for(seed: Array, purpose: str) -> PRNGKeyArray:
    """The key of one purpose of a run.

    Args:
        seed: Of the run.
        purpose: "model" (first parameters), "order" (of the images), "noise" (of the steps),
            "held out" (noise of the comparisons) or "scale" (noise of its last fit).

    Returns:
        A threefry key, never rbg: under vmap rbg would give all runs the same numbers.
    """
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), _PURPOSES.index(purpose))
