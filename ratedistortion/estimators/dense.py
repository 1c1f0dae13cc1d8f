"""Codes under the aggregate posterior, from a matrix of their log densities: of any encoder."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ratedistortion.estimators.float64 import require_float64
from ratedistortion.estimators.mixture import MixtureTerms


def dense_terms(
    log_densities: Float[Array, "codes posteriors"], own: Int[Array, "codes"]
) -> MixtureTerms:
    r"""What `mixture_terms` computes, for posteriors of any family.

    $$\log q(z_c) = \log \tfrac1N \sum_n q(z_c|x_n), \qquad \log N - H[q(n|z_c)].$$

    Args:
        log_densities: log q(z_c|x_n) in nats at [c, n], float64; -inf where the density is 0. All N
            posteriors are there, and as many codes as memory allows: the terms of a code do not
            depend on the other codes.
        own: The image n that each code was drawn from, in [0, N); its log density is finite.

    Returns:
        The terms, in nats, exact but for rounding.

    Raises:
        ValueError: If 64-bit numbers are off in JAX or the log densities are not float64.

    Two codes whose density under the other posterior is half of that under their own:

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators import dense_terms
    >>> with jax.enable_x64(True):
    ...     densities = jnp.log(jnp.array([[1.0, 0.5], [0.5, 1.0]]))
    ...     print(dense_terms(densities, jnp.arange(2)).log_mixture.round(4))
    [-0.2877 -0.2877]

    Source: Hoffman and Johnson, "ELBO surgery", NIPS workshop, 2016.
    """
    require_float64("dense_terms", log_densities=log_densities)
    count = log_densities.shape[1]
    log_own = jnp.take_along_axis(log_densities, own[:, None], axis=1)[:, 0]
    highest = jnp.max(log_densities, axis=1)
    g = jnp.maximum(log_densities - highest[:, None], _LEAST)
    share, rest = jnp.exp(g), jnp.where(jnp.arange(count)[None] == own[:, None], 0.0, jnp.exp(g))
    total, first, second, others = (
        jnp.sum(part, axis=1) for part in (share, g * share, g * g * share, rest)
    )
    return MixtureTerms(
        log_own=log_own,
        log_mixture=highest + jnp.log(total) - math.log(count),
        log_others=highest + jnp.log(others) - math.log(max(count - 1, 1)),
        information=math.log(count) - (jnp.log(total) - first / total),
        spread=jnp.maximum(second / total - (first / total) ** 2, 0.0),
    )


# Nats below the largest density of a code: e to this power is 0, and its square is finite.
_LEAST = -1e4
