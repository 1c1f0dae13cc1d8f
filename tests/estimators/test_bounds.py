"""Bounds without codes, against quadrature, closed forms and their textbook formulas in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from ratedistortion import estimators
from ratedistortion.estimators import Posteriors

upper_bound = jax.jit(estimators.pairwise_kl_upper_bound)
lower_bound = jax.jit(estimators.bhattacharyya_lower_bound)
marginal_kl_gaussian = jax.jit(estimators.marginal_kl_gaussian)

pytestmark = pytest.mark.usefixtures("float64")

# Sigma from 1e-4 to 10. Shapes (posteriors, latents) are few, as each of them is compiled.
RANDOM_MIXTURES = {
    "shape": st.sampled_from([(2, 64), (10, 1), (1000, 8), (2000, 64)]),
    "kind": st.sampled_from(["1e-4", "1e-2", "1", "10", "any", "sharp and wide"]),
    "spread": st.sampled_from([0.1, 1.0, 3.0]),
    "offset": st.sampled_from([0.0, 100.0]),
    "copies": st.sampled_from(["none", "equal", "near"]),
    "seed": st.integers(0, 1000),
}
ONCE = {"derandomize": True, "deadline": None, "database": None}


def posteriors_of(mean: np.ndarray, scale: np.ndarray) -> Posteriors:
    return Posteriors(jnp.asarray(mean), jnp.asarray(scale))


# --- Bounds of I(n;z) -------------------------------------------------------------------------


def textbook(
    mean: np.ndarray, scale: np.ndarray, rows: np.ndarray
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Upper and lower bound, each with its standard error, from KL and Bhattacharyya distances."""
    distances = []
    for own_mean, own_scale in zip(mean[rows], scale[rows], strict=True):
        gap, own, other = (own_mean - mean) ** 2, own_scale**2, scale**2
        kl = 0.5 * (own / other + gap / other - 1 + np.log(other / own)).sum(-1)
        middle = (own + other) / 2
        ratio = np.log(middle) - np.log(own_scale) - np.log(scale)
        distances.append((kl, (gap / (8 * middle) + 0.5 * ratio).sum(-1)))
    terms = math.log(len(mean)) - logsumexp(-np.array(distances), axis=2)
    errors = terms.std(axis=0, ddof=1) / math.sqrt(len(terms))
    return tuple(zip(terms.mean(axis=0), errors, strict=True))


def check_bounds(mean: np.ndarray, scale: np.ndarray, rows: np.ndarray, tolerance: float) -> None:
    for bound, expected in zip(
        (upper_bound, lower_bound), textbook(mean, scale, rows), strict=True
    ):
        measured = tuple(map(float, bound(jnp.asarray(rows), posteriors_of(mean, scale))))
        assert measured == pytest.approx(expected, abs=tolerance)
        assert -tolerance < measured[0] < math.log(len(mean)) + 1e-12


def test_the_bounds_bracket_the_information_by_quadrature(one_latent):
    mean, scale = one_latent.mean, one_latent.scale
    rows = jnp.arange(len(mean))
    lower = lower_bound(rows, posteriors_of(mean, scale))
    upper = upper_bound(rows, posteriors_of(mean, scale))
    # Over all rows neither has a sampling error.
    assert 0 < lower.value <= one_latent.information <= upper.value < math.log(len(mean))


@pytest.mark.parametrize("gap, information", [(0.0, 0.0), (100.0, math.log(300))])
def test_bounds_of_equal_and_of_disjoint_posteriors(gap, information):
    mean = 3 + np.tile(gap * np.arange(300)[:, None], (1, 4))
    for bound in (lower_bound, upper_bound):
        value, error = bound(jnp.arange(40), posteriors_of(mean, np.full(mean.shape, 0.7)))
        assert float(value) == pytest.approx(information, abs=1e-6)
        assert -1e-6 < value < math.log(300) + 1e-6 and 0 <= error < 1e-6


@pytest.mark.slow
@settings(**ONCE, max_examples=12)
@given(**RANDOM_MIXTURES)
@example(shape=(2000, 64), kind="1e-4", spread=1, offset=100, copies="equal", seed=0)
@example(shape=(2000, 64), kind="sharp and wide", spread=3, offset=0, copies="none", seed=0)
@example(shape=(1000, 8), kind="any", spread=0.1, offset=100, copies="equal", seed=1)
def test_both_bounds_of_random_mixtures_are_those_of_the_textbook(random_posteriors, **mixture):
    random, mean, scale = random_posteriors(**mixture)
    check_bounds(mean, scale, random.permutation(len(mean))[:40], 1e-4)


def test_both_bounds_of_sharp_neighbours_are_those_of_the_textbook(random_posteriors):
    for seed in range(20):
        random, mean, scale = random_posteriors((10, 1), "1e-4", 3.0, 0.0, "near", seed)
        check_bounds(mean, scale, random.permutation(10), 1e-4)


@pytest.mark.parametrize("kind", ["1e-2", "0.3", "1", "sharp and wide", "any"])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_both_bounds_of_close_pairs_are_those_of_the_textbook(scales_of, kind, offset):
    random = np.random.default_rng(6)
    mean = offset + random.normal(size=(300, 4))
    mean[1::2] = mean[::2] + 0.01 * random.normal(size=(150, 4))
    # The shares of the lower bound are float32.
    check_bounds(mean, scales_of(kind, random, mean.shape), random.permutation(300)[:40], 2e-5)


def test_bounds_do_not_depend_on_the_tiles():
    random = np.random.default_rng(7)
    mean, scale = random.normal(size=(2049, 2)), np.full((2049, 2), 0.3)
    check_bounds(mean, scale, np.array([0, 1024, 1025, 2048]), 2e-5)


# --- Lower bound of the marginal KL -----------------------------------------------------------


def test_the_moments_bound_the_marginal_kl_by_quadrature(one_latent):
    measured = marginal_kl_gaussian(posteriors_of(one_latent.mean, one_latent.scale))
    assert float(measured) == pytest.approx(one_latent.matched, abs=1e-6)
    assert measured <= one_latent.marginal_kl


@pytest.mark.slow
@settings(**ONCE, max_examples=25)
@given(**RANDOM_MIXTURES)
@example(shape=(2, 64), kind="1e-4", spread=3.0, offset=100.0, copies="none", seed=0)
@example(shape=(2000, 64), kind="any", spread=3.0, offset=100.0, copies="near", seed=0)
def test_the_moments_bound_is_that_of_singular_values(random_posteriors, **mixture):
    """Singular values of the data keep all digits, because no covariance is formed."""
    _, mean, scale = random_posteriors(**mixture)
    middle = mean.mean(0)
    root = np.vstack(
        [(mean - middle) / math.sqrt(len(mean)), np.diag(np.sqrt(np.mean(scale**2, axis=0)))]
    )
    deviation = np.linalg.svd(root, compute_uv=False)
    expected = 0.5 * (middle @ middle + np.sum(deviation**2 - 1 - 2 * np.log(deviation)))
    measured = float(marginal_kl_gaussian(posteriors_of(mean, scale)))
    assert measured == pytest.approx(expected, rel=1e-14, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 0.5, 1.0])
def test_the_moments_bound_is_that_of_the_direct_formula(scale):
    """With NumPy's covariance, trace and log determinant."""
    random = np.random.default_rng(8)
    mean = random.normal(size=(500, 6)) @ random.normal(size=(6, 6)) + random.normal(size=6)
    scales = scale * np.exp(random.normal(size=mean.shape))
    covariance = np.cov(mean.T, bias=True) + np.diag(np.mean(scales**2, axis=0))
    middle = mean.mean(0)
    direct = 0.5 * (
        np.trace(covariance) + middle @ middle - 6 - np.linalg.slogdet(covariance).logabsdet
    )
    measured = float(marginal_kl_gaussian(posteriors_of(mean, scales)))
    assert measured == pytest.approx(direct, rel=1e-10)


def test_posteriors_equal_to_the_prior_have_no_marginal_kl():
    value = marginal_kl_gaussian(posteriors_of(np.zeros((50, 3)), np.ones((50, 3))))
    assert float(value) == 0
