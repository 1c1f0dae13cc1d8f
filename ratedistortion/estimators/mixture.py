"""Codes under the aggregate posterior q(z) = (1/N) sum_n q(z|x_n), a mixture of all posteriors."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ratedistortion.estimators.float64 import require_float64

# So many codes and posteriors are compared at once: 4 MiB of float64 stay in a CPU's cache.
_CODES_PER_BLOCK, _POSTERIORS_PER_TILE = 256, 2048
# Largest error of a log density, in nats, up to which the fast matrix product may compute it.
_MAX_PRODUCT_ERROR = 1e-6
# Log of a share below the smallest float32: exp of it is exactly 0.
_LOG_UNDERFLOW = -104.0
# Log density, in nats, of a posterior that is left out: a finite number, so that none is nan.
_ABSENT = -1e300


class Posteriors(NamedTuple):
    """Diagonal Gaussian posteriors q(z|x_n), float64.

    Attributes:
        mean: Of every image and latent dimension.
        scale: The standard deviations, above 0.
    """

    mean: Float[Array, "posteriors latents"]
    scale: Float[Array, "posteriors latents"]


class MixtureTerms(NamedTuple):
    """One number per code, in nats, float64.

    Attributes:
        log_own: log q(z|x_n) of the posterior that the code was drawn from.
        log_mixture: log q(z), the mean over all N posteriors.
        log_others: log of the mean over the N - 1 other posteriors; -inf if there are none.
        information: log N - H[q(n|z)], in [0, log N] but for rounding; its mean over codes is
            I(n;z).
        spread: Variance of log q(n|z) over n drawn from q(n|z). Its mean over codes is the
            variance of log q(n|z) + H[q(n|z)] of the own posterior n, which has mean 0. A sample
            variance of the latter is too small when few codes could be another image's.
    """

    log_own: Float[Array, "codes"]
    log_mixture: Float[Array, "codes"]
    log_others: Float[Array, "codes"]
    information: Float[Array, "codes"]
    spread: Float[Array, "codes"]


def mixture_terms(
    noise: Float[Array, "codes latents"] | None, own: Int[Array, "codes"], posteriors: Posteriors
) -> MixtureTerms:
    r"""Log density of every code under the whole mixture, and what the code says of its image.

    $$\log q(z) = \log \tfrac1N \sum_n q(z|x_n), \qquad \log N - H[q(n|z)].$$

    The log density of a code under its own posterior is computed from its noise, because the
    difference of a code and the mean of a sharp posterior has no correct digits. Log densities
    under the other posteriors are a float64 matrix product of [z^2, z] and
    [-1/(2 scale^2), mean/scale^2] where its rounding error is below a millionth of a nat. Tiles
    with sharper posteriors sum the squares of (z - mean)/scale instead. Shares e^g, relative to
    the largest density, are float32. Memory does not grow with N: the posteriors come in tiles,
    and every code keeps its largest log density so far.

    Args:
        noise: The standard normal numbers, float64, that each code was drawn with:
            z = mean + scale * noise of its own posterior. None stands for the average over all
            noise: every log density is then its mean E_{q_own} log q(z|x_n).
        own: The posterior that each code was drawn from, in [0, N).
        posteriors: All N of them, never a subsample: fewer would estimate another, smaller
            quantity. They need not be centred.

    Returns:
        The terms, in nats. The mean of `information` over codes is an unbiased estimate of I(n;z)
        given the posteriors; it is 0 but for rounding where all posteriors are equal. The terms
        of a code depend on the other codes by rounding only.

    Raises:
        ValueError: If 64-bit numbers are off in JAX or an array is not float64.

    Two posteriors that do not overlap tell their images apart, which is log 2 nats:

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators import Posteriors, mixture_terms
    >>> with jax.enable_x64(True):
    ...     apart = Posteriors(mean=jnp.array([[-9.0], [9.0]]), scale=jnp.ones((2, 1)))
    ...     terms = mixture_terms(jnp.zeros((2, 1)), jnp.arange(2), apart)
    ...     print(terms.information.round(4))
    [0.6931 0.6931]

    Source: Hoffman and Johnson, "ELBO surgery", NIPS workshop, 2016; the running maximum is
        Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
    """
    require_float64("mixture_terms", noise=noise, posteriors=posteriors)
    # Centred means are smaller numbers, so that fewer digits cancel.
    mean = posteriors.mean - jnp.mean(posteriors.mean, axis=0, keepdims=True)
    constants = -jnp.sum(jnp.log(posteriors.scale) + 0.5 * math.log(2 * math.pi), axis=1)
    if noise is None:
        offset, variance = mean[own], posteriors.scale[own] ** 2
        log_own = constants[own] - 0.5 * mean.shape[1]
    else:
        offset, variance = mean[own] + posteriors.scale[own] * noise, jnp.zeros_like(mean[own])
        log_own = constants[own] - 0.5 * jnp.sum(noise**2, axis=1)

    rows = own.shape[0]
    size = min(_CODES_PER_BLOCK, rows)
    blocks = -(-rows // size)
    padded = jnp.minimum(jnp.arange(blocks * size), rows - 1)
    codes = jax.tree.map(
        lambda x: x[padded].reshape(blocks, size, *x.shape[1:]),
        _Codes(offset, variance, log_own, own),
    )
    tiles = _tiles(mean, posteriors.scale, constants)
    terms = lax.map(lambda block: _terms_of_block(block, tiles, mean.shape[0]), codes)
    return MixtureTerms(*(term.reshape(-1)[:rows] for term in terms))


def tiled(x: Float[Array, "posteriors ..."], filling: float) -> Float[Array, "tiles size ..."]:
    """Cuts an array of posteriors into tiles of equal size, which are compared one by one.

    Args:
        x: A row for each posterior.
        filling: Every number of the rows that fill up the last tile.

    Returns:
        The same rows in the same order; a tile has at most 2,048.
    """
    count = x.shape[0]
    tiles = -(-count // _POSTERIORS_PER_TILE)
    size = -(-count // tiles)
    padding = ((0, tiles * size - count), *[(0, 0)] * (x.ndim - 1))
    return jnp.pad(x, padding, constant_values=filling).reshape(tiles, size, *x.shape[1:])


class _Codes(NamedTuple):
    """Centred codes; `variance` is that of z given the own posterior, 0 for drawn codes."""

    z: Float[Array, "*blocks codes latents"]
    variance: Float[Array, "*blocks codes latents"]
    log_own: Float[Array, "*blocks codes"]
    own: Int[Array, "*blocks codes"]


class _Tile(NamedTuple):
    """Some of the posteriors, and what of their log densities does not depend on the codes.

    `constants` are their normalisers in nats, `sharp` says that the product is too inexact, and
    `start` is the number of the first of them.
    """

    mean: Float[Array, "*tiles posteriors latents"]
    precision: Float[Array, "*tiles posteriors latents"]
    constants: Float[Array, "*tiles posteriors"]
    sharp: Bool[Array, "*tiles"]
    start: Int[Array, "*tiles"]


class _Sums(NamedTuple):
    """For every code the highest log density so far, in nats, and sums over posteriors.

    With g = log density - highest the sums are those of e^g, g e^g and g^2 e^g.
    """

    highest: Float[Array, "codes"]
    total: Float[Array, "codes"]
    first: Float[Array, "codes"]
    second: Float[Array, "codes"]


def _tiles(mean: Array, scale: Array, constants: Array) -> _Tile:
    """Tiles of equal size; the posteriors that fill up the last one have no density."""
    means = tiled(mean, 0.0)
    tiles, size = means.shape[:2]
    # The product rounds terms of the size of (mean/scale)^2.
    largest = jnp.max(jnp.sum(tiled((mean / scale) ** 2, 0.0), axis=2), axis=1)
    return _Tile(
        mean=means,
        precision=tiled(scale**-2, 0.0),
        constants=tiled(constants, _ABSENT),
        sharp=largest * jnp.finfo(jnp.float64).eps > _MAX_PRODUCT_ERROR,
        start=jnp.arange(tiles) * size,
    )


def _terms_of_block(codes: _Codes, tiles: _Tile, count: int) -> MixtureTerms:
    """The terms of a block of codes, all tiles of the `count` posteriors taken one by one."""
    # Posteriors stand in rows and codes in columns: sums over posteriors are then vectorised.
    z, variance = codes.z.T, codes.variance.T

    def add_tile(sums: _Sums, tile: _Tile) -> tuple[_Sums, None]:
        log_q = _log_densities(z, variance, tile)
        size, places = log_q.shape[0], codes.own - tile.start
        here = (places >= 0) & (places < size)
        # The own posterior is added at the end, with its exact log density.
        own = jnp.where(here, places, size), jnp.arange(places.shape[0])
        log_q = log_q.at[own].set(_ABSENT, mode="drop")
        highest = jnp.maximum(sums.highest, jnp.max(log_q, axis=0))
        gap = jnp.maximum(log_q - highest[None], _LOG_UNDERFLOW).astype(jnp.float32)
        share = jnp.exp(gap)
        added = [
            jnp.sum(part, axis=0).astype(jnp.float64)
            for part in (share, share * gap, share * gap**2)
        ]
        _, *before = _rescale(sums, highest)
        return _Sums(highest, *(old + new for old, new in zip(before, added, strict=True))), None

    nothing = jnp.zeros_like(codes.log_own)
    others, _ = lax.scan(add_tile, _Sums(nothing + _ABSENT, nothing, nothing, nothing), tiles)
    log_others = others.highest + jnp.log(others.total) - math.log(max(count - 1, 1))
    highest = jnp.maximum(others.highest, codes.log_own)
    gap = codes.log_own - highest
    share = jnp.exp(gap)
    _, total, first, second = _rescale(others, highest)
    total = total + share
    first, second = (first + share * gap) / total, (second + share * gap**2) / total
    entropy = jnp.log(total) - first
    limit = math.log(count)
    return MixtureTerms(
        log_own=codes.log_own,
        log_mixture=highest + jnp.log(total) - limit,
        log_others=log_others if count > 1 else nothing - jnp.inf,
        information=limit - entropy,
        spread=jnp.maximum(second - first**2, 0.0),
    )


def _log_densities(z: Array, variance: Array, tile: _Tile) -> Float[Array, "posteriors codes"]:
    """log q of codes (latents, codes) under the posteriors of a tile."""

    def product() -> Array:
        weights = jnp.concatenate([-0.5 * tile.precision, tile.mean * tile.precision], 1)
        constant = jnp.sum(0.5 * tile.mean**2 * tile.precision, axis=1, keepdims=True)
        return weights @ jnp.concatenate([z**2 + variance, z]) - constant

    def differences() -> Array:
        def add_latent(i: Array, total: Array) -> Array:
            difference = z[i][None] - tile.mean[:, i][:, None]
            return total + (difference**2 + variance[i][None]) * tile.precision[:, i][:, None]

        nothing = jnp.zeros((tile.mean.shape[0], z.shape[1]), jnp.float64)
        return -0.5 * lax.fori_loop(0, z.shape[0], add_latent, nothing)

    return lax.cond(tile.sharp, differences, product) + tile.constants[:, None]


def _rescale(sums: _Sums, highest: Array) -> _Sums:
    """The sums relative to a new highest log density, at least the old one."""
    shift = sums.highest - highest
    factor = jnp.exp(shift)
    # A finite shift: 0 times infinity would be nan.
    shift = jnp.maximum(shift, 10 * _LOG_UNDERFLOW)
    second = sums.second + shift * (2 * sums.first + shift * sums.total)
    return _Sums(
        highest, factor * sums.total, factor * (sums.first + shift * sums.total), factor * second
    )
