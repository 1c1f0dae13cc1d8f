r"""The algorithm of Blahut and Arimoto: a point of R(D) of any finite source, with its error bound.

This is the only file of `ratedistortion.theory` that imports JAX.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Float

# Smallest log weight of a reproduction: 1e-300 adds nothing to a sum, and can still be raised.
_MIN_LOG_WEIGHT = -690.0
# Largest number of steps that one extrapolation may stand for.
_MAX_EXTRAPOLATION = 1e4


class BlahutArimoto(NamedTuple):
    """A point near R(D), and the largest rate that it can be above R(D)."""

    rate: float
    """I(X; Y) of the channel, in nats per symbol: an upper bound of R at this distortion."""
    distortion: float
    """Mean distortion of the channel, in the unit of the matrix: exact, not an estimate."""
    gap: float
    """In nats: rate - gap <= R(distortion) <= rate. At most the tolerance, if that was reached."""
    iterations: int
    """Number of steps of the fixed point that were taken."""
    reproduction: Float[np.ndarray, " reproductions"]
    """Probability of each reproduction symbol under the channel."""


def blahut_arimoto(
    source: Float[np.ndarray, " symbols"],
    distortion: Float[np.ndarray, "rows reproductions"],
    beta: float,
    tolerance: float = 1e-7,
    max_iterations: int = 100_000,
) -> BlahutArimoto:
    r"""The point of R(D) that minimises D + beta R, where the slope dD/dR is -beta.

    With q the weights of the reproductions, one step is
    $$c_j = \sum_i p_i \frac{e^{-d_{ij}/\beta}}{\sum_k q_k e^{-d_{ik}/\beta}},
      \qquad q_j \leftarrow q_j c_j,$$
    in logarithms, in float64. It stops when Blahut's gap,
    $$\max_j \ln c_j - \sum_j q^{new}_j \ln c_j,$$
    is at most the tolerance; at every step the gap bounds the error from above. Where the best q
    leaves out symbols, plain steps need about 1/tolerance of them. Here every two steps are
    extrapolated by SQUAREM, and an extrapolation that does not lower D + beta R is dropped. The gap
    is that of the returned q, however q was found.

    Args:
        source: Probabilities p of the source's symbols; they sum to 1.
        distortion: Entry [i, j] is the distortion of reproducing symbol i by j, finite;
            it has as many rows as there are symbols.
        beta: Weight of the rate, above 0, in the distortion's unit per nat.
        tolerance: Largest error of the rate, in nats, above 0. Rounding keeps the gap above about
            1e-14.
        max_iterations: Number of steps to stop at in any case; the gap then says how far it got. A
            fine grid over a continuous source may need more than the default for 1e-7, because
            many of its reproductions are nearly equally good.

    Returns:
        The point, with its gap, in nats.

    Raises:
        ValueError: If the source is not probabilities, the distortion has another shape or is not
            finite, or beta or tolerance is not above 0.

    Source: Blahut, "Computation of channel capacity and rate-distortion functions", 1972,
    theorems 6 and 9; Varadhan and Roland, "Simple and globally convergent methods for accelerating
    the convergence of any EM algorithm", 2008, scheme S3.
    """
    total = float(source.sum())
    if not (np.all(source >= 0) and abs(total - 1) < 1e-9):
        raise ValueError(f"source must be probabilities that sum to 1: their sum is {total:g}.")
    if distortion.shape[0] != len(source) or not np.all(np.isfinite(distortion)):
        raise ValueError(
            f"distortion must be finite, a row for each of {len(source)} symbols: "
            f"got shape {distortion.shape}."
        )
    if not (0 < beta < np.inf and tolerance > 0):
        raise ValueError(f"beta and tolerance must be above 0: got {beta:g} and {tolerance:g}.")
    kept = source > 0  # the other symbols never occur and change nothing
    with jax.enable_x64(True):
        log_p = jnp.log(jnp.asarray(source[kept] / total, jnp.float64))
        matrix = jnp.asarray(distortion[kept], jnp.float64)
        limits = jnp.float64(beta), jnp.float64(tolerance), jnp.int64(max_iterations)
        found = _search(log_p, matrix, *limits)
        rate, mean, gap, iterations, log_q = jax.device_get(found)
    return BlahutArimoto(float(rate), float(mean), float(gap), int(iterations), np.exp(log_q))


class _State(NamedTuple):
    log_q: Any
    objective: Any
    gap: Any
    iterations: Any


@jax.jit
def _search(log_p: Any, matrix: Any, beta: Any, tolerance: Any, max_iterations: Any) -> Any:
    exponent = -matrix / beta

    def step(log_q: Any) -> _State:
        """One plain step, with the objective and the gap of the weights before the step."""
        log_z = logsumexp(log_q[None] + exponent, axis=1)
        log_c = logsumexp((log_p - log_z)[:, None] + exponent, axis=0)
        after = log_q + log_c
        gap = jnp.max(log_c) - jnp.sum(jnp.exp(after) * log_c)
        objective = -jnp.sum(jnp.exp(log_p) * log_z)
        return _State(after, objective, gap, jnp.int64(1))

    def extrapolated(start: Any, one: Any, two: Any) -> Any:
        first, bend = one - start, two - 2 * one + start
        # The norms are weighted by q: symbols whose weight vanishes must not decide the length.
        weight = jnp.exp(0.5 * two)
        ratio = jnp.linalg.norm(weight * first) / (jnp.linalg.norm(weight * bend) + 1e-300)
        length = jnp.clip(ratio, 1.0, _MAX_EXTRAPOLATION)
        log_q = start + 2 * length * first + length**2 * bend
        log_q = jnp.clip(log_q - jnp.max(log_q), _MIN_LOG_WEIGHT, 0.0)
        return log_q - logsumexp(log_q)

    def advance(state: _State) -> _State:
        one = step(state.log_q)
        two = step(one.log_q)
        proposal = step(extrapolated(state.log_q, one.log_q, two.log_q))
        better = proposal.objective <= two.objective
        # `proposal.log_q` is one plain step after the extrapolation.
        chosen = jax.tree.map(lambda a, b: jnp.where(better, a, b), proposal, two)
        log_q = jnp.maximum(chosen.log_q, _MIN_LOG_WEIGHT)
        log_q = log_q - logsumexp(log_q)
        return _State(log_q, chosen.objective, step(log_q).gap, state.iterations + 4)

    def unfinished(state: _State) -> Any:
        return (state.gap > tolerance) & (state.iterations < max_iterations)

    count = matrix.shape[1]
    log_q = jnp.full(count, -jnp.log(jnp.float64(count)), jnp.float64)
    start = _State(log_q, jnp.float64(jnp.inf), step(log_q).gap, jnp.int64(0))
    end = jax.lax.while_loop(unfinished, advance, start)

    joint = end.log_q[None] + exponent
    channel = joint - logsumexp(joint, axis=1)[:, None]
    after = step(end.log_q).log_q
    weights = jnp.exp(log_p[:, None] + channel)
    mean = jnp.sum(weights * matrix)
    # The rate is computed by its definition: as a difference from D / beta it would lose its digits
    # where beta is small.
    rate = jnp.sum(weights * (channel - after[None]))
    return jnp.maximum(rate, 0.0), mean, end.gap, end.iterations, after
