"""Codes against the aggregate posterior q(z) = (1/N) sum_n q(z|x_n): all N components, in tiles."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

# A tile of 256 codes by 2,048 posteriors is 4 MiB of float64: it stays in a CPU's cache.
_CODES, _POSTERIORS = 256, 2048
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
        information: log N - H[q(n|z)], in [0, log N]; its mean over codes is I(n;z).
    """

    log_own: Float[Array, "codes"]
    log_mixture: Float[Array, "codes"]
    log_others: Float[Array, "codes"]
    information: Float[Array, "codes"]


def mixture_terms(
    codes: Float[Array, "codes latents"],
    variance: Float[Array, "codes latents"] | None,
    own: Int[Array, "codes"],
    posteriors: Posteriors,
) -> MixtureTerms:
    r"""Log density of every code under the whole mixture, and what the code says of its image.

    $$\log q(z) = \log \tfrac1N \sum_n q(z|x_n), \qquad \log N - H[q(n|z)].$$

    The N log densities of a code are one float64 matrix product, of [z^2, z] with
    [-1/(2 scale^2), mean/scale^2]; their exponentials, relative to the largest, are float32. The
    posteriors are taken in tiles, each code keeping its running maximum, so that memory does
    not grow with N.

    Args:
        codes: The codes z; or the means of densities over which log q(z|x_n) is averaged.
        variance: None for codes; the variances of those densities otherwise.
        own: The posterior that each row belongs to, in [0, N).
        posteriors: All N of them, never a subsample: fewer would estimate another, smaller
            quantity. They are centred here, which costs nothing and saves digits.

    Returns:
        The terms. Over codes the mean of `information` is an unbiased estimate of I(n;z) given
        the posteriors, exactly 0 where all posteriors are equal. The terms of a code do not
        depend on which other codes it is taken with.

    Source: Hoffman and Johnson, "ELBO surgery", NIPS workshop, 2016; the running maximum is
        Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
    """
    count, latents = posteriors.mean.shape
    rows = codes.shape[0]
    centre = jnp.mean(posteriors.mean, axis=0, keepdims=True)
    mean, precision = posteriors.mean - centre, posteriors.scale**-2
    offset = codes - centre
    squares = offset**2 if variance is None else offset**2 + variance
    features = jnp.concatenate([squares, offset], axis=1)
    weights = jnp.concatenate([-0.5 * precision, mean * precision], axis=1)
    constants = -jnp.sum(
        0.5 * mean**2 * precision + jnp.log(posteriors.scale) + 0.5 * math.log(2 * math.pi), axis=1
    )

    tiles = -(-count // _POSTERIORS)
    tile = -(-count // tiles)
    padding = tiles * tile - count
    weights = jnp.pad(weights, ((0, padding), (0, 0))).reshape(tiles, tile, 2 * latents)
    constants = jnp.pad(constants, (0, padding), constant_values=_ABSENT).reshape(tiles, tile)
    starts = jnp.arange(tiles) * tile

    def one_block(arguments: tuple[Array, Array]) -> MixtureTerms:
        x, own_row = arguments
        x = x.T

        def add_tile(carry: tuple[Array, ...], part: tuple[Array, Array, Array]):
            maximum, total, weighted, log_own = carry
            tile_weights, tile_constants, start = part
            log_q = tile_weights @ x + tile_constants[:, None]
            place = own_row - start
            columns = jnp.arange(place.shape[0])
            here = (place >= 0) & (place < tile)
            log_own = jnp.where(here, log_q[jnp.clip(place, 0, tile - 1), columns], log_own)
            # Others only: leaving the own term out beforehand loses no digits, subtracting it does.
            log_q = log_q.at[jnp.where(here, place, tile), columns].set(_ABSENT, mode="drop")
            highest = jnp.maximum(maximum, jnp.max(log_q, axis=0))
            gap = jnp.maximum(log_q - highest[None], _UNDERFLOW).astype(jnp.float32)
            share = jnp.exp(gap)
            shift = maximum - highest
            added = _wide(jnp.sum(share, axis=0)), _wide(jnp.sum(share * gap, axis=0))
            total, weighted = _rescale(total, weighted, shift)
            return (highest, total + added[0], weighted + added[1], log_own), None

        size = own_row.shape[0]
        nothing = jnp.zeros(size, jnp.float64)
        start = (nothing + _ABSENT, nothing, nothing, nothing)
        (maximum, total, weighted, log_own), _ = lax.scan(
            add_tile, start, (weights, constants, starts)
        )
        log_others = maximum + jnp.log(total) - math.log(max(count - 1, 1))
        highest = jnp.maximum(maximum, log_own)
        total, weighted = _rescale(total, weighted, maximum - highest)
        gap = log_own - highest
        total, weighted = total + jnp.exp(gap), weighted + jnp.exp(gap) * gap
        entropy = jnp.log(total) - weighted / total
        limit = math.log(count)
        return MixtureTerms(
            log_own=log_own,
            log_mixture=highest + jnp.log(total) - limit,
            log_others=log_others if count > 1 else nothing - jnp.inf,
            information=jnp.clip(limit - entropy, 0.0, limit),
        )

    # Blocks of one width, and always some padding: XLA then compiles the same loop body for any
    # number of rows, and a code's terms are the same bits whatever codes it is taken with.
    blocks = rows // _CODES + 1
    chosen = jnp.minimum(jnp.arange(blocks * _CODES), rows - 1)
    terms = lax.map(
        one_block,
        (features[chosen].reshape(blocks, _CODES, -1), own[chosen].reshape(blocks, _CODES)),
    )
    return MixtureTerms(*(term.reshape(-1)[:rows] for term in terms))


def _wide(x: Array) -> Array:
    return x.astype(jnp.float64)


def _rescale(total: Array, weighted: Array, shift: Array) -> tuple[Array, Array]:
    """Sums of e^g and g e^g once every g has moved by `shift` <= 0."""
    factor = jnp.exp(shift)
    shift = jnp.maximum(shift, 10 * _UNDERFLOW)
    return total * factor, (weighted + shift * total) * factor
