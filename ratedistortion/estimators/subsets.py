"""Bounds of I(n;z) from small subsets of the images, where all N^2 densities cost too much."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ratedistortion.estimators.float64 import require_float64


def subset_bounds(
    log_densities: Float[Array, "subset subset"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""K-way lower and leave-one-out upper bound of I(n;z) from K of the N images.

    $$\tfrac1K \sum_i \log \frac{q_i(z_i)}{\tfrac1K \sum_j q_j(z_i)}
      \qquad \tfrac1K \sum_i \log \frac{q_i(z_i)}{\tfrac1{K-1} \sum_{j \ne i} q_j(z_i)}$$

    Args:
        log_densities: log q_j(z_i) in nats at [i, j], float64, z_i drawn from q_i. The images are
            drawn without replacement and are at least two.

    Returns:
        The two numbers in nats. Over random subsets the mean of the first is at most I(n;z),
        because an image is told apart from fewer others, and at most log K. The mean of the
        second is at least I(n;z), and at least I(X;Z) of the population; it is infinite where
        posteriors do not overlap.

    Raises:
        ValueError: If 64-bit numbers are off in JAX or the log densities are not float64.

    Two codes whose density under the other posterior is half of that under their own say between
    log 4/3 and log 2 nats:

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators import subset_bounds
    >>> with jax.enable_x64(True):
    ...     lower, upper = subset_bounds(jnp.log(jnp.array([[1.0, 0.5], [0.5, 1.0]])))
    ...     print(f"{lower:.4f} to {upper:.4f}")
    0.2877 to 0.6931

    Source: Poole et al., "On variational bounds of mutual information", 2019, eqs. 12 and 13.
    """
    require_float64("subset_bounds", log_densities=log_densities)
    count = log_densities.shape[0]
    own = jnp.diagonal(log_densities)
    others = jnp.where(jnp.eye(count, dtype=bool), -jnp.inf, log_densities)
    lower = own - jax.nn.logsumexp(log_densities, axis=1) + math.log(count)
    upper = own - jax.nn.logsumexp(others, axis=1) + math.log(count - 1)
    return jnp.mean(lower), jnp.mean(upper)
