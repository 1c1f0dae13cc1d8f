"""Bounds of I(n;z) and of the marginal KL that draw no codes."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ratedistortion.estimators.estimate import Estimate, estimate
from ratedistortion.estimators.mixture import Posteriors, mixture_terms

_POSTERIORS = 2048


def pairwise_kl_upper_bound(rows: Int[Array, "rows"], posteriors: Posteriors) -> Estimate:
    r"""Upper bound of I(n;z) by the KL divergences between posteriors.

    $$I(n;z) \le -\mathbb{E}_n \log \tfrac1N \sum_m e^{-\mathrm{KL}(q_n \| q_m)}.$$

    Args:
        rows: The n over which the mean is taken: all, or a random subset of them.
        posteriors: All N; m runs over all of them.

    Returns:
        Nats per image, in [0, log N] but for rounding; the standard error is that of the choice
        of rows.

    Source: Kolchinsky and Tracey, "Estimating mixture entropy with pairwise distances", 2017.
    """
    terms = mixture_terms(None, rows, posteriors)
    return estimate(terms.log_own - terms.log_mixture)


def bhattacharyya_lower_bound(rows: Int[Array, "rows"], posteriors: Posteriors) -> Estimate:
    r"""Lower bound of I(n;z) by the Bhattacharyya distances between posteriors.

    $$I(n;z) \ge -\mathbb{E}_n \log \tfrac1N \sum_m e^{-\mathrm{BD}(q_n, q_m)},$$
    where for diagonal Gaussians
    $$e^{-\mathrm{BD}} = \prod_i \sqrt{\frac{2 s_i t_i}{s_i^2 + t_i^2}}
      \exp\left(-\frac{(\mu_i - \nu_i)^2}{4 (s_i^2 + t_i^2)}\right).$$

    Args:
        rows: The n over which the mean is taken: all, or a random subset of them. The cost per
            row is N times latents, as BD is no matrix product.
        posteriors: All N; m runs over all of them.

    Returns:
        Nats per image, in [0, log N] but for rounding; the standard error is that of the choice
        of rows.

    Source: Kolchinsky and Tracey, "Estimating mixture entropy with pairwise distances", 2017.
    """
    count = posteriors.mean.shape[0]
    tiles = -(-count // _POSTERIORS)
    tile = -(-count // tiles)
    # BD has no unit: in that of a latent's least scale no square underflows in float32.
    unit = jnp.min(posteriors.scale, axis=0, keepdims=True)
    mean = posteriors.mean / unit
    scale = (posteriors.scale / unit).astype(jnp.float32)
    padding = ((0, tiles * tile - count), (0, 0))
    means = jnp.pad(mean, padding, constant_values=jnp.inf).reshape(tiles, tile, -1)
    scales = jnp.pad(scale, padding, constant_values=1.0).reshape(tiles, tile, -1)
    means, scales = jnp.swapaxes(means, 1, 2), jnp.swapaxes(scales, 1, 2)

    def one_row(row: Array) -> Array:
        own_mean, own_scale = mean[row][:, None], scale[row][:, None]

        def one_tile(part: tuple[Array, Array]) -> Array:
            # The difference of two close means needs float64. After it all terms of BD have one
            # sign, so that float32 keeps their digits.
            difference = (own_mean - part[0]).astype(jnp.float32)
            both = own_scale**2 + part[1] ** 2
            distance = jnp.sum(difference**2 / both, axis=0)
            # Every factor is at least 1: an overflow stands for a density ratio of zero.
            spread = jnp.prod(both / (2 * own_scale * part[1]), axis=0)
            overlap = jnp.exp(-0.25 * distance) * lax.rsqrt(spread)
            return jnp.sum(overlap.astype(jnp.float64))

        return jnp.sum(lax.map(one_tile, (means, scales)))

    overlaps = lax.map(one_row, rows)
    return estimate(math.log(count) - jnp.log(overlaps))


def marginal_kl_gaussian(posteriors: Posteriors) -> Float[Array, ""]:
    r"""Lower bound of KL(q(z) || N(0, I)) by the moments m, V of the aggregate posterior.

    $$\mathrm{KL}(N(m, V) \| N(0, I)) = \tfrac12 (\mathrm{tr} V + m^\top m - d - \log\det V),$$
    the least KL of any density with those moments; so R minus it is an upper bound of I(n;z).

    Args:
        posteriors: All N; V is their full covariance.

    Returns:
        Nats per image, without sampling error given the posteriors.

    Source: maximum entropy of the Gaussian (Cover and Thomas 2006, theorem 8.6.5).
    """
    mean = jnp.mean(posteriors.mean, axis=0)
    centred = posteriors.mean - mean[None]
    covariance = centred.T @ centred / centred.shape[0] + jnp.diag(
        jnp.mean(posteriors.scale**2, axis=0)
    )
    values = jax.scipy.linalg.eigh(covariance, eigvals_only=True)
    # Rounding leaves nothing of an eigenvalue below this; a larger one bounds from below still.
    least = values.shape[0] * jnp.finfo(values.dtype).eps * values[-1]
    values = jnp.maximum(values, jnp.minimum(least, 1.0))
    # Of the eigenvalues v each v - 1 - log v is at least 0, and so is their sum, digit by digit.
    return 0.5 * (mean @ mean + jnp.sum(values - 1 - jnp.log(values)))
