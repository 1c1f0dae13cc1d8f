"""Posteriors that are left out change nothing: against sums over all of them in float64 NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from ratedistortion import estimators
from ratedistortion.estimators import Posteriors

pytestmark = pytest.mark.usefixtures("float64")

# One shape for all kinds, because every shape is compiled: two tiles of posteriors, three groups of
# latents, the last of which is not full, and two blocks of codes, of which the first has those
# whose `log_others` is asked for.
POSTERIORS, LATENTS, CODES, OTHERS = 2100, 160, 300, 20
mixture_terms = jax.jit(estimators.mixture_terms, static_argnums=3)
upper_bound = jax.jit(estimators.pairwise_kl_upper_bound)
lower_bound = jax.jit(estimators.bhattacharyya_lower_bound)


def sharp_shut_and_nearly_shut(random: np.random.Generator):
    """40 latents that tell images apart, some hardly, and others that tell nothing."""
    shape = POSTERIORS, LATENTS
    level = np.concatenate([np.geomspace(0.01, 0.9, 40), np.ones(LATENTS - 40)])
    mean = np.sqrt(1 - level**2) * random.normal(size=shape)
    scale = level * np.exp(np.where(level < 1, 0.1, 0.0) * random.normal(size=shape))
    mean[:, 100:] += 1e-3 * random.normal(size=(POSTERIORS, LATENTS - 100))
    scale[:, 100:] *= np.exp(1e-3 * random.normal(size=(POSTERIORS, LATENTS - 100)))
    return mean, scale


def pairs_apart_in_the_last_latents(random: np.random.Generator):
    """Pairs that are equal in the latents that tell the most: these cannot rule them out."""
    mean, scale = 3 * random.normal(size=(POSTERIORS, LATENTS)), np.ones((POSTERIORS, LATENTS))
    mean[:, 120:] /= 3
    mean[1::2, :120] = mean[::2, :120]
    return mean, scale


def gaps_about_the_limit(random: np.random.Generator):
    """Posteriors of one line, at distances at which a share is just counted or just left out."""
    mean, scale = np.zeros((POSTERIORS, LATENTS)), np.ones((POSTERIORS, LATENTS))
    mean[:, 0] = np.linspace(0, 40, POSTERIORS)
    return mean + 1e-6 * random.normal(size=mean.shape), scale


def densities_from_the_last_latents(random: np.random.Generator):
    """A narrow scale in a latent that tells little: its density there outweighs the others."""
    mean, scale = random.normal(size=(POSTERIORS, LATENTS)), np.full((POSTERIORS, LATENTS), 0.3)
    mean[:, 80:] = 0
    scale[:, 80:] = 1
    scale[::2, 155:] = 0.5
    scale[::4, 159] = 1e-3
    mean[1::2] = mean[::2]
    return mean, scale


def scales_from_tiny_to_large(random: np.random.Generator):
    return random.normal(size=(POSTERIORS, LATENTS)), 10 ** random.uniform(
        -4, 1, (POSTERIORS, LATENTS)
    )


def numbers_too_large_for_float32(random: np.random.Generator):
    mean, scale = random.normal(size=(POSTERIORS, LATENTS)), np.ones((POSTERIORS, LATENTS))
    mean[:, 1] *= 1e25
    scale[:, 1] = 1e25
    scale[::2, 2] = 1e-16
    return mean, scale


def sharp(random: np.random.Generator):
    return random.normal(size=(POSTERIORS, LATENTS)), np.full((POSTERIORS, LATENTS), 1e-3)


def equal(random: np.random.Generator):
    one = random.normal(size=LATENTS)
    return np.tile(one, (POSTERIORS, 1)), np.tile(np.exp(one), (POSTERIORS, 1))


def overlapping(random: np.random.Generator):
    shape = POSTERIORS, LATENTS
    return 0.05 * random.normal(size=shape), np.exp(0.05 * random.normal(size=shape))


KINDS = (
    sharp_shut_and_nearly_shut,
    pairs_apart_in_the_last_latents,
    gaps_about_the_limit,
    densities_from_the_last_latents,
    scales_from_tiny_to_large,
    numbers_too_large_for_float32,
    sharp,
    equal,
    overlapping,
)
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def posteriors_of(kind):
    random = np.random.default_rng(0)
    mean, scale = kind(random)
    # Latents in any order.
    order = random.permutation(LATENTS)
    return random, mean[:, order], scale[:, order]


@kinds
def test_terms_are_those_of_all_posteriors(kind):
    random, mean, scale = posteriors_of(kind)
    own, noise = random.permutation(POSTERIORS)[:CODES], random.normal(size=(CODES, LATENTS))
    constant = -np.log(scale).sum(1) - LATENTS / 2 * math.log(2 * math.pi)
    log_q = np.empty((CODES, POSTERIORS))
    for code, n in enumerate(own):
        # From noise and the difference of the means, because z would lose digits.
        deviation = (mean[n] - mean + scale[n] * noise[code]) / scale
        deviation[n] = noise[code]
        log_q[code] = constant - 0.5 * (deviation**2).sum(1)
    log_total = logsumexp(log_q, axis=1)
    log_share = log_q - log_total[:, None]
    information = math.log(POSTERIORS) + (np.exp(log_share) * log_share).sum(1)
    log_q[np.arange(CODES), own] = -np.inf
    terms = mixture_terms(
        jnp.asarray(noise), jnp.asarray(own), Posteriors(*map(jnp.asarray, (mean, scale))), OTHERS
    )
    close = {"rtol": 1e-12, "atol": 2e-6}
    np.testing.assert_allclose(terms.information, information, **close)
    np.testing.assert_allclose(terms.log_mixture, log_total - math.log(POSTERIORS), **close)
    log_others = logsumexp(log_q, axis=1) - math.log(POSTERIORS - 1)
    np.testing.assert_allclose(
        terms.log_others[:OTHERS], log_others[:OTHERS], rtol=1e-12, atol=1e-5
    )
    assert np.isnan(terms.log_others[OTHERS:]).all()


@kinds
def test_bounds_are_those_of_all_posteriors(kind):
    random, mean, scale = posteriors_of(kind)
    rows = random.permutation(POSTERIORS)[:100]
    square, own, other = (mean[rows, None] - mean) ** 2, scale[rows, None], scale
    divergence = 0.5 * ((own / other) ** 2 + square / other**2 - 1).sum(2)
    divergence += (np.log(other) - np.log(own)).sum(2)
    ratio = own / other
    distance = (square / (4 * (own**2 + other**2))).sum(2)
    distance += 0.5 * np.log((ratio + 1 / ratio) / 2).sum(2)
    for bound, between in ((upper_bound, divergence), (lower_bound, distance)):
        terms = math.log(POSTERIORS) - logsumexp(-between, axis=1)
        value, error = bound(jnp.asarray(rows), Posteriors(*map(jnp.asarray, (mean, scale))))
        assert float(value) == pytest.approx(terms.mean(), abs=2e-5)
        assert float(error) == pytest.approx(terms.std(ddof=1) / math.sqrt(len(rows)), abs=2e-5)
