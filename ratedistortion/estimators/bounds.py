"""Bounds of I(n;z) and of the marginal KL: without codes, or from small subsets of the images."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ratedistortion.estimators.estimate import Estimate, estimate
from ratedistortion.estimators.float64 import require_float64
from ratedistortion.estimators.mixture import mixture_terms
from ratedistortion.estimators.posteriors import (
    LATENTS_PER_GROUP,
    Posteriors,
    by_difference,
    tiled,
)

# So many nats and log N further, all N overlaps together are below float32's rounding of 1.
_TOO_FAR = 16.0


def pairwise_kl_upper_bound(rows: Int[Array, "rows"], posteriors: Posteriors) -> Estimate:
    r"""Upper bound of I(n;z) by the KL divergences between posteriors.

    $$I(n;z) \le -\mathbb{E}_n \log \tfrac1N \sum_m e^{-\mathrm{KL}(q_n \| q_m)}.$$

    Args:
        rows: The n over which the mean is taken: all, or a random subset of them.
        posteriors: All N, as m runs over all of them.

    Returns:
        Nats per image, in [0, log N] but for rounding. The standard error is that of the choice
        of rows; the bound has no other sampling error.

    Raises:
        ValueError: If 64-bit numbers are off in JAX or the posteriors are not float64.

    Of two posteriors whose means are 2 scales apart the KL divergence is 2 nats, and the bound
    log 2 - log(1 + e^-2); by quadrature I(n;z) is 0.3368:

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators import Posteriors, pairwise_kl_upper_bound
    >>> with jax.enable_x64(True):
    ...     near = Posteriors(mean=jnp.array([[-1.0], [1.0]]), scale=jnp.ones((2, 1)))
    ...     print(f"{pairwise_kl_upper_bound(jnp.arange(2), near).value:.4f}")
    0.5662

    Source: Kolchinsky and Tracey, "Estimating mixture entropy with pairwise distances", 2017.
    """
    require_float64("pairwise_kl_upper_bound", posteriors=posteriors)
    terms = mixture_terms(None, rows, posteriors, others=0)
    return estimate(terms.log_own - terms.log_mixture)


def bhattacharyya_lower_bound(rows: Int[Array, "rows"], posteriors: Posteriors) -> Estimate:
    r"""Lower bound of I(n;z) by the Bhattacharyya distances between posteriors.

    $$I(n;z) \ge -\mathbb{E}_n \log \tfrac1N \sum_m e^{-\mathrm{BD}(q_n, q_m)},$$
    where for diagonal Gaussians
    $$e^{-\mathrm{BD}} = \prod_i \sqrt{\frac{2 s_i t_i}{s_i^2 + t_i^2}}
      \exp\left(-\frac{(\mu_i - \nu_i)^2}{4 (s_i^2 + t_i^2)}\right).$$

    Args:
        rows: The n over which the mean is taken: all, or a random subset of them. A row costs up
            to N times latents operations, as BD is no matrix product. The sum of a tile ends
            where no overlap can be above e^-16 / N.
        posteriors: All N, as m runs over all of them.

    Returns:
        Nats per image, in [0, log N] but for rounding. The standard error is that of the choice
        of rows; the bound has no other sampling error.

    Raises:
        ValueError: If 64-bit numbers are off in JAX or the posteriors are not float64.

    Of two posteriors whose means are 2 scales apart BD is 1/2, and the bound
    log 2 - log(1 + e^-0.5); by quadrature I(n;z) is 0.3368:

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators import Posteriors, bhattacharyya_lower_bound
    >>> with jax.enable_x64(True):
    ...     near = Posteriors(mean=jnp.array([[-1.0], [1.0]]), scale=jnp.ones((2, 1)))
    ...     print(f"{bhattacharyya_lower_bound(jnp.arange(2), near).value:.4f}")
    0.2191

    Source: Kolchinsky and Tracey, "Estimating mixture entropy with pairwise distances", 2017.
    """
    require_float64("bhattacharyya_lower_bound", posteriors=posteriors)
    centred = posteriors.mean - jnp.mean(posteriors.mean, axis=0, keepdims=True)
    mean, scale, _, summed = by_difference(centred, posteriors.scale)
    # BD does not change with the unit of a latent. In units of its smallest scale no square
    # underflows in float32.
    unit = jnp.min(scale, axis=0, keepdims=True)
    mean, scale = mean / unit, (scale / unit).astype(jnp.float32)
    count, width = mean.shape[0], min(LATENTS_PER_GROUP, mean.shape[1])
    too_far = 4 * (_TOO_FAR + math.log(count))
    # All N posteriors at once would take three times as long for N = 60,000 on a CPU, whose cache
    # they do not fit into.
    means = jnp.swapaxes(tiled(mean, jnp.inf), 1, 2)
    scales = jnp.swapaxes(tiled(scale, 1.0), 1, 2)

    starts = jnp.arange(len(means)) * means.shape[2]

    def one_row(row: Array) -> Array:
        own_mean, own_scale = mean[row][:, None], scale[row][:, None]

        def one_tile(tile: tuple[Array, Array, Array]) -> Array:
            def add_group(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
                group, distance, spread = state
                first = jnp.minimum(group * width, mean.shape[1] - width)
                new = (first + jnp.arange(width) >= group * width)[:, None]
                means, scales, means_own, scales_own = (
                    lax.dynamic_slice_in_dim(x, first, width)
                    for x in (*tile[:2], own_mean, own_scale)
                )
                # The difference of two close means needs float64. All terms of BD are positive, so
                # that float32 is enough from there on.
                difference = (means_own - means).astype(jnp.float32)
                both = scales_own**2 + scales**2
                distance += jnp.sum(jnp.where(new, difference**2 / both, 0), axis=0)
                # Every factor is at least 1. If the product overflows, the overlap becomes 0.
                factors = jnp.where(new, both / (2 * scales_own * scales), 1)
                return group + 1, distance, spread * jnp.prod(factors, axis=0)

            def goes_on(state: tuple[Array, Array, Array]) -> Array:
                return (state[0] * width < summed) & jnp.any(state[1] < too_far)

            # The overlap of the row with itself is 1, and is added at the end. What fills up the
            # last tile has no overlap.
            places = jnp.arange(means.shape[2]) + tile[2]
            absent = (places == row) | (places >= count)
            distance = jnp.where(absent, jnp.inf, jnp.float32(0))
            start = jnp.int64(0), distance, jnp.ones_like(tile[1][0])
            _, distance, spread = lax.while_loop(goes_on, add_group, start)
            overlap = jnp.exp(-0.25 * distance) * lax.rsqrt(spread)
            return jnp.sum(overlap.astype(jnp.float64))

        return 1 + jnp.sum(lax.map(one_tile, (means, scales, starts)))

    overlaps = lax.map(one_row, rows)
    return estimate(math.log(count) - jnp.log(overlaps))


def marginal_kl_gaussian(posteriors: Posteriors) -> Float[Array, ""]:
    r"""Lower bound of KL(q(z) || N(0, I)) by the moments m, V of the aggregate posterior.

    $$\mathrm{KL}(N(m, V) \| N(0, I)) = \tfrac12 (\mathrm{tr} V + m^\top m - d - \log\det V).$$

    No density with the moments of q(z) has a smaller KL; so R minus it is an upper bound of
    I(n;z).

    Args:
        posteriors: All N; V is their full covariance.

    Returns:
        Nats per image, at most KL(q(z) || N(0, I)), without sampling error given the posteriors.

    Raises:
        ValueError: If 64-bit numbers are off in JAX or the posteriors are not float64.

    Means -1 and 1 and scales 1 have m = 0 and V = 2, so that the bound is (1 - log 2) / 2; by
    quadrature the KL of this q(z) is 0.1632:

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators import Posteriors, marginal_kl_gaussian
    >>> with jax.enable_x64(True):
    ...     near = Posteriors(mean=jnp.array([[-1.0], [1.0]]), scale=jnp.ones((2, 1)))
    ...     print(f"{marginal_kl_gaussian(near):.4f}")
    0.1534

    Source: maximum entropy of the Gaussian (Cover and Thomas 2006, theorem 8.6.5).
    """
    require_float64("marginal_kl_gaussian", posteriors=posteriors)
    return kl_of_moments(posteriors.mean, jnp.diag(jnp.mean(posteriors.scale**2, axis=0)))


def kl_of_moments(
    means: Float[Array, "posteriors latents"], within: Float[Array, "latents latents"]
) -> Float[Array, ""]:
    """What `marginal_kl_gaussian` computes, for posteriors of any family.

    Args:
        means: Of all N posteriors, float64.
        within: The mean of their covariances, float64.

    Returns:
        Nats per image, at most KL(q(z) || N(0, I)).

    Raises:
        ValueError: If 64-bit numbers are off in JAX or an array is not float64.
    """
    require_float64("kl_of_moments", means=means, within=within)
    mean = jnp.mean(means, axis=0)
    centred = means - mean[None]
    covariance = centred.T @ centred / centred.shape[0] + within
    values = jax.scipy.linalg.eigh(covariance, eigvals_only=True)
    # Eigenvalues below this limit are rounding errors. Up to 1 a larger eigenvalue makes the KL
    # smaller, so that the result is still a lower bound.
    least = values.shape[0] * jnp.finfo(values.dtype).eps * values[-1]
    values = jnp.maximum(values, jnp.minimum(least, 1.0))
    # Each v - 1 - log v is at least 0; sums of trace, d and log det apart could round below 0.
    return 0.5 * (mean @ mean + jnp.sum(values - 1 - jnp.log(values)))


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
