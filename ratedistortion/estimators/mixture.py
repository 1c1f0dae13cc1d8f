"""Codes against the aggregate posterior q(z) = (1/N) sum_n q(z|x_n): all N components, in tiles."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ratedistortion.estimators.float64 import require_float64

# A tile of 256 codes by 2,048 posteriors is 4 MiB of float64: it stays in a CPU's cache.
_CODES, _POSTERIORS = 256, 2048
# The error that a log density by the product may have, in nats, beyond which a tile goes without.
_MOST_ERROR = 1e-6
# exp(-104) is below the smallest float32, so that what is clamped here adds exactly nothing.
_UNDERFLOW = -104.0
_ABSENT = -1e300


class Posteriors(NamedTuple):
    """Diagonal Gaussian posteriors q(z|x_n), float64."""

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
            variance of log q(n|z) + H[q(n|z)], n the own posterior, whose mean is 0. Codes that
            hardly ever seem another image's leave it unseen in a sample of that.
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
) -> MixtureTerms:
    r"""Log density of every code under the whole mixture, and what the code says of its image.

    $$\log q(z) = \log \tfrac1N \sum_n q(z|x_n), \qquad \log N - H[q(n|z)].$$

    The log density of a code under its own posterior comes from its noise: a code of a sharp
    posterior, less its mean, has no digits left. Those under the others are one float64 matrix
    product, of [z^2, z] with [-1/(2 scale^2), mean/scale^2], wherever its terms, of the size of
    (mean/scale)^2, cancel to a millionth of a nat; tiles with sharper posteriors sum the squares
    of (z - mean)/scale. Exponentials, relative to the largest, are float32. The posteriors are
    taken in tiles, each code keeping its running maximum, so that memory does not grow with N.

    Args:
        noise: The standard normal numbers, float64, that each code was drawn with:
            z = mean + scale * noise of its own posterior. None stands for all of them: every log
            density is then its mean over the own posterior, E_{q_own} log q(z|x_n).
        own: The posterior that each code was drawn from, in [0, N).
        posteriors: All N of them, never a subsample: fewer would estimate another, smaller
            quantity. They are centred here, which costs nothing and saves digits.

    Returns:
        The terms. Over codes the mean of `information` is an unbiased estimate of I(n;z) given
        the posteriors, exactly 0 where all posteriors are equal. Other codes that a code is taken
        with change its terms by rounding only.

    Source: Hoffman and Johnson, "ELBO surgery", NIPS workshop, 2016; the running maximum is
        Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
    """
    require_float64("mixture_terms", noise=noise, posteriors=posteriors)
    count, latents = posteriors.mean.shape
    rows = own.shape[0]
    mean = posteriors.mean - jnp.mean(posteriors.mean, axis=0, keepdims=True)
    precision = posteriors.scale**-2
    constants = -jnp.sum(jnp.log(posteriors.scale) + 0.5 * math.log(2 * math.pi), axis=1)
    if noise is None:
        offset, variance = mean[own], posteriors.scale[own] ** 2
        log_own = constants[own] - 0.5 * latents
    else:
        offset, variance = mean[own] + posteriors.scale[own] * noise, jnp.zeros_like(mean[own])
        log_own = constants[own] - 0.5 * jnp.sum(noise**2, axis=1)

    tiles = -(-count // _POSTERIORS)
    tile = -(-count // tiles)
    padding = tiles * tile - count

    def tiled(x: Array) -> Array:
        return jnp.pad(x, ((0, padding), (0, 0))).reshape(tiles, tile, -1)

    size = jnp.max(jnp.sum(tiled((mean / posteriors.scale) ** 2), axis=2), axis=1)
    sharp = size * jnp.finfo(jnp.float64).eps > _MOST_ERROR
    parts = (
        tiled(mean),
        tiled(precision),
        jnp.pad(constants, (0, padding), constant_values=_ABSENT).reshape(tiles, tile),
        sharp,
        jnp.arange(tiles) * tile,
    )

    def one_block(arguments: tuple[Array, ...]) -> MixtureTerms:
        z, spread, log_own, own_row = arguments
        z, spread = z.T, spread.T

        def add_tile(carry: tuple[Array, ...], part: tuple[Array, ...]):
            maximum, total, first, second = carry
            tile_mean, tile_precision, tile_constants, tile_sharp, start = part

            def product() -> Array:
                weights = jnp.concatenate([-0.5 * tile_precision, tile_mean * tile_precision], 1)
                constant = jnp.sum(0.5 * tile_mean**2 * tile_precision, axis=1, keepdims=True)
                return weights @ jnp.concatenate([z**2 + spread, z]) - constant

            def differences() -> Array:
                def add_latent(i: Array, total: Array) -> Array:
                    difference = z[i][None] - tile_mean[:, i][:, None]
                    return total + (difference**2 + spread[i][None]) * tile_precision[:, i][:, None]

                nothing = jnp.zeros((tile, z.shape[1]), jnp.float64)
                return -0.5 * lax.fori_loop(0, latents, add_latent, nothing)

            log_q = lax.cond(tile_sharp, differences, product) + tile_constants[:, None]
            place = own_row - start
            here = (place >= 0) & (place < tile)
            # The own posterior has its own, exact, log density.
            places = jnp.where(here, place, tile), jnp.arange(place.shape[0])
            log_q = log_q.at[places].set(_ABSENT, mode="drop")
            highest = jnp.maximum(maximum, jnp.max(log_q, axis=0))
            gap = jnp.maximum(log_q - highest[None], _UNDERFLOW).astype(jnp.float32)
            share = jnp.exp(gap)
            added = share, share * gap, share * gap**2
            before = _rescale(total, first, second, maximum - highest)
            sums = [
                old + jnp.sum(part, axis=0).astype(jnp.float64)
                for old, part in zip(before, added, strict=True)
            ]
            return (highest, *sums), None

        nothing = jnp.zeros_like(log_own)
        start = (nothing + _ABSENT, nothing, nothing, nothing)
        (maximum, total, first, second), _ = lax.scan(add_tile, start, parts)
        log_others = maximum + jnp.log(total) - math.log(max(count - 1, 1))
        highest = jnp.maximum(maximum, log_own)
        gap = log_own - highest
        share = jnp.exp(gap)
        total, first, second = _rescale(total, first, second, maximum - highest)
        total = total + share
        first, second = (first + share * gap) / total, (second + share * gap**2) / total
        entropy = jnp.log(total) - first
        limit = math.log(count)
        return MixtureTerms(
            log_own=log_own,
            log_mixture=highest + jnp.log(total) - limit,
            log_others=log_others if count > 1 else nothing - jnp.inf,
            information=limit - entropy,
            spread=jnp.maximum(second - first**2, 0.0),
        )

    size = min(_CODES, rows)
    blocks = -(-rows // size)
    padded = jnp.minimum(jnp.arange(blocks * size), rows - 1)
    terms = lax.map(
        one_block,
        jax.tree.map(
            lambda x: x[padded].reshape(blocks, size, *x.shape[1:]),
            (offset, variance, log_own, own),
        ),
    )
    return MixtureTerms(*(term.reshape(-1)[:rows] for term in terms))


def _rescale(total: Array, first: Array, second: Array, shift: Array) -> tuple[Array, Array, Array]:
    """Sums of e^g, g e^g and g^2 e^g once every g has moved by `shift` <= 0."""
    factor = jnp.exp(shift)
    shift = jnp.maximum(shift, 10 * _UNDERFLOW)
    second = second + shift * (2 * first + shift * total)
    return factor * total, factor * (first + shift * total), factor * second
