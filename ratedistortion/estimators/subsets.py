"""Bounds of I(n;z) from small subsets, for densities too dear to evaluate for all N pairs."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def subset_bounds(
    log_densities: Float[Array, "subset subset"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""K-way lower and leave-one-out upper bound of I(n;z) from K of the N images.

    $$\tfrac1K \sum_i \log \frac{q_i(z_i)}{\tfrac1K \sum_j q_j(z_i)}
      \qquad \tfrac1K \sum_i \log \frac{q_i(z_i)}{\tfrac1{K-1} \sum_{j \ne i} q_j(z_i)}$$

    Over random subsets the mean of the first is at most I(n;z), as n is told apart from fewer, and
    at most log K; that of the second is at least I(n;z), and at least I(X;Z) of the population.

    Args:
        log_densities: log q_j(z_i) at [i, j], z_i drawn from q_i, images drawn without
            replacement; at least two.

    Returns:
        The two numbers in nats; the second is infinite where posteriors do not overlap.

    Source: Poole et al., "On variational bounds of mutual information", 2019, eqs. 12 and 13.
    """
    count = log_densities.shape[0]
    own = jnp.diagonal(log_densities)
    others = jnp.where(jnp.eye(count, dtype=bool), -jnp.inf, log_densities)
    lower = own - jax.nn.logsumexp(log_densities, axis=1) + math.log(count)
    upper = own - jax.nn.logsumexp(others, axis=1) + math.log(count - 1)
    return jnp.mean(lower), jnp.mean(upper)
