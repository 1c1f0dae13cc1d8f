"""Adam in few passes over memory, and whether a gradient is one that it can take."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float

# Adam's own numbers.
_DECAYS, _SMALL = (0.9, 0.999), 1e-8
# Beyond, the second moment is infinite, and a parameter would never move again.
_MOST = 1e19


def adam(gradient: Any, state: optax.ScaleByAdamState) -> tuple[Any, optax.ScaleByAdamState]:
    """What is taken off the parameters, before the learning rate, and the moments.

    Optax's moments, with both corrections of their bias in one factor, and the small number that
    keeps the division finite inside the root, squared: a product with a reciprocal root takes a
    twentieth of a step less than two divisions by numbers and one by a root.

    Args:
        gradient: A pytree of float32 arrays.
        state: Moments of the same shapes, and how many steps they have seen.

    Returns:
        The updates, of the same shapes, and the next state.

    Source: Kingma and Ba, "Adam", 2015, the more efficient order at the end of section 2.
    """
    count = jnp.asarray(state.count) + 1
    mu = optax.tree.update_moment(gradient, state.mu, _DECAYS[0], 1)
    nu = optax.tree.update_moment(gradient, state.nu, _DECAYS[1], 2)
    first, second = (1 - jnp.float32(decay) ** count.astype(jnp.float32) for decay in _DECAYS)
    factor, small = jnp.sqrt(second) / first, _SMALL**2 * second
    updates = jax.tree.map(lambda m, v: factor * m * lax.rsqrt(v + small), mu, nu)
    return updates, optax.ScaleByAdamState(count, mu, nu)


def bounded(loss: Float[Array, ""], gradient: Any) -> Bool[Array, ""]:
    """Whether a loss and its gradient, a pytree, are finite and have finite squares.

    By their sum, down the columns by a product: a reduction of a matrix costs several times as much
    on a CPU.
    """
    total = loss
    for part in jax.tree.leaves(gradient):
        columns = jnp.ones((1, len(part)), part.dtype) @ part if part.ndim == 2 else part
        total += jnp.sum(columns)
    return jnp.abs(total) < _MOST
