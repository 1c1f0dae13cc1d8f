"""Codes under the aggregate posterior q(z) = (1/N) sum_n q(z|x_n), a mixture of all posteriors."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ratedistortion.estimators.float64 import require_float64
from ratedistortion.estimators.posteriors import (
    LATENTS_PER_GROUP,
    Posteriors,
    by_difference,
    by_likeness,
    tiled,
)

# So many codes are compared with a tile of posteriors at once: 4 MiB of float64 stay in a CPU's
# cache.
_CODES_PER_BLOCK = 256
# So many nats and log N below a code's own log density, all N posteriors together count nothing.
_TOO_FAR = 36.0
# Largest error of a log density, in nats, up to which the fast matrix product may compute it.
_MAX_PRODUCT_ERROR = 1e-6
# Log of a share below the smallest float32: exp of it is exactly 0.
_LOG_UNDERFLOW = -104.0
# Log density, in nats, of a posterior that is left out: a finite number, so that none is nan.
_ABSENT = -1e300


class MixtureTerms(NamedTuple):
    """One number per code, in nats, float64.

    Attributes:
        log_own: log q(z|x_n) of the posterior that the code was drawn from.
        log_mixture: log q(z), the mean over all N posteriors.
        log_others: log of the mean over the N - 1 other posteriors; -inf if there are none, and nan
            where it was not asked for.
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
    noise: Float[Array, "codes latents"] | None,
    own: Int[Array, "codes"],
    posteriors: Posteriors,
    others: int | None = None,
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

    A log density only falls as latents are added to its sum, because the normalisers come first.
    With more than 64 latents the sum of a tile ends where all its posteriors are below e^-36 / N of
    the codes' own; and latents that are equal in all posteriors are not summed.

    Args:
        noise: The standard normal numbers, float64, that each code was drawn with:
            z = mean + scale * noise of its own posterior. None stands for the average over all
            noise: every log density is then its mean E_{q_own} log q(z|x_n).
        own: The posterior that each code was drawn from, in [0, N).
        posteriors: All N of them, never a subsample: fewer would estimate another, smaller
            quantity. They need not be centred.
        others: Of how many codes, the first ones, `log_others` is asked for; None for all. It needs
            the nearest other posterior however far away that is, which takes all latents.

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
    scale, rows = posteriors.scale, jnp.arange(own.shape[0])
    complete = rows < (own.shape[0] if others is None else others)
    if mean.shape[1] <= LATENTS_PER_GROUP:
        return _terms(noise, own, mean, scale, complete, mean.shape[1])
    mean, scale, order, summed = by_difference(mean, scale)
    noise = None if noise is None else noise[:, order]
    # Posteriors that are alike lie in one tile, and their codes in one block.
    alike = by_likeness(mean)
    own = jnp.argsort(alike)[own]
    turn = jnp.argsort(jnp.where(complete, -1, own))
    noise = None if noise is None else noise[turn]
    terms = _terms(noise, own[turn], mean[alike], scale[alike], complete[turn], summed)
    return jax.tree.map(lambda x: x[jnp.argsort(turn)], terms)


def _terms(
    noise: Array | None,
    own: Array,
    mean: Array,
    scale: Array,
    complete: Array,
    summed: int | Array,
) -> MixtureTerms:
    """The terms, with `log_others` where `complete`; the latents that are not summed are equal."""
    rows, (count, latents) = own.shape[0], mean.shape
    constants = -jnp.sum(jnp.log(scale) + 0.5 * math.log(2 * math.pi), axis=1)
    squares = jnp.ones_like(mean[own]) if noise is None else noise**2
    left_out = (jnp.arange(latents) >= summed)[None]
    of_equal = 0.5 * jnp.sum(jnp.where(left_out, squares, 0.0), axis=1)
    log_own = constants[own] - 0.5 * jnp.sum(jnp.where(left_out, 0.0, squares), axis=1)
    if noise is None:
        offset, variance = mean[own], scale[own] ** 2
    else:
        offset, variance = mean[own] + scale[own] * noise, jnp.zeros_like(noise)
    limit = jnp.where(complete, -jnp.inf, log_own - math.log(count) - _TOO_FAR)

    size = min(_CODES_PER_BLOCK, rows)
    blocks = -(-rows // size)
    padded = jnp.minimum(jnp.arange(blocks * size), rows - 1)
    codes = jax.tree.map(
        lambda x: x[padded].reshape(blocks, size, *x.shape[1:]),
        _Codes(offset, variance, log_own, limit, own),
    )
    tiles = _tiles(mean, scale, constants)
    terms = lax.map(lambda block: _terms_of_block(block, tiles, count, summed), codes)
    terms = MixtureTerms(*(term.reshape(-1)[:rows] for term in terms))
    return terms._replace(
        log_own=terms.log_own - of_equal,
        log_mixture=terms.log_mixture - of_equal,
        log_others=jnp.where(complete, terms.log_others - of_equal, jnp.nan),
    )


class _Codes(NamedTuple):
    """Centred codes.

    `variance` is that of z given the own posterior, 0 for drawn codes. Log densities below `limit`
    need not be exact.
    """

    z: Float[Array, "*blocks codes latents"]
    variance: Float[Array, "*blocks codes latents"]
    log_own: Float[Array, "*blocks codes"]
    limit: Float[Array, "*blocks codes"]
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


def _terms_of_block(codes: _Codes, tiles: _Tile, count: int, summed: int | Array) -> MixtureTerms:
    """The terms of a block of codes, all tiles of the `count` posteriors taken one by one."""
    # Posteriors stand in rows and codes in columns: sums over posteriors are then vectorised.
    z, variance = codes.z.T, codes.variance.T

    def add_tile(sums: _Sums, tile: _Tile) -> tuple[_Sums, None]:
        size, places = tile.constants.shape[0], codes.own - tile.start
        here = (places >= 0) & (places < size)
        # The own posterior is added at the end, with its exact log density.
        own = jnp.where(here, places, size), jnp.arange(places.shape[0])
        start = jnp.broadcast_to(tile.constants[:, None], (size, z.shape[1]))
        start = start.at[own].set(_ABSENT, mode="drop")
        log_q = _log_densities(z, variance, tile, start, codes.limit, summed)

        def added() -> _Sums:
            highest = jnp.maximum(sums.highest, jnp.max(log_q, axis=0))
            gap = jnp.maximum(log_q - highest[None], _LOG_UNDERFLOW).astype(jnp.float32)
            share = jnp.exp(gap)
            new = [
                jnp.sum(part, axis=0).astype(jnp.float64)
                for part in (share, share * gap, share * gap**2)
            ]
            _, *old = _rescale(sums, highest)
            return _Sums(highest, *map(jnp.add, old, new))

        # Not below: where a log density is nan, so are the sums.
        far = jnp.all(log_q <= codes.limit[None])
        return lax.cond(far, lambda: sums, added), None

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


def _log_densities(
    z: Array, variance: Array, tile: _Tile, start: Array, limit: Array, summed: int | Array
) -> Float[Array, "posteriors codes"]:
    """log q of codes (latents, codes) under a tile; exact where it is above the codes' limit.

    The sum over the latents begins with `start`, the normalisers, and takes a group at a time.
    """
    width = min(LATENTS_PER_GROUP, z.shape[0])

    def add_group(state: tuple[Array, Array]) -> tuple[Array, Array]:
        group, log_q = state
        # The last group starts earlier where it would reach past the last latent.
        first = jnp.minimum(group * width, z.shape[0] - width)
        new = first + jnp.arange(width) >= group * width

        def part(x: Array, axis: int) -> Array:
            return lax.dynamic_slice_in_dim(x, first, width, axis)

        own_z, own_variance, mean = part(z, 0), part(variance, 0), part(tile.mean, 1)
        precision = jnp.where(new[None], part(tile.precision, 1), 0.0)

        def product() -> Array:
            weights = jnp.concatenate([-0.5 * precision, mean * precision], 1)
            constant = jnp.sum(0.5 * mean**2 * precision, axis=1, keepdims=True)
            return weights @ jnp.concatenate([own_z**2 + own_variance, own_z]) - constant

        def differences() -> Array:
            def add_latent(i: Array, total: Array) -> Array:
                difference = own_z[i][None] - mean[:, i][:, None]
                return total + (difference**2 + own_variance[i][None]) * precision[:, i][:, None]

            nothing = jnp.zeros((mean.shape[0], z.shape[1]), jnp.float64)
            return -0.5 * lax.fori_loop(0, width, add_latent, nothing)

        return group + 1, log_q + lax.cond(tile.sharp, differences, product)

    def goes_on(state: tuple[Array, Array]) -> Array:
        group, log_q = state
        return (group * width < summed) & ~jnp.all(log_q <= limit[None])

    return lax.while_loop(goes_on, add_group, (jnp.int64(0), start))[1]


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
