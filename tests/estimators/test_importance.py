"""The importance-weighted bound against SciPy, and exact likelihoods of linear-Gaussian models."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp
from skips import raw_log_scale

from ratedistortion.estimators import importance_weighted_nll
from ratedistortion.measuring.measurement import make_measure
from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.settings import Settings

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

SCALE, IMAGES = 0.5, 400


@pytest.fixture(scope="module")
def linear() -> tuple[Autoencoder, Model, np.ndarray, float]:
    """A model, data drawn from it, and their exact mean -log p(x).

    The decoder is as it was initialised; the encoder has the exact posterior means, and scales
    a little wider than the posteriors, whose correlation it cannot express.
    """
    settings = Settings(
        dataset="made",
        encoder="linear",
        decoder="linear",
        likelihood="gaussian",
        likelihood_scale=SCALE,
        latents=2,
    )
    autoencoder = Autoencoder(settings, (3,))
    model = autoencoder.build(jax.random.key(3, impl="threefry2x32"))
    skip = model.skip
    weights = np.asarray(skip.decoder, float)
    marginal = stats.multivariate_normal(np.zeros(3), weights.T @ weights + SCALE**2 * np.eye(3))
    covariance = np.linalg.inv(np.eye(2) + weights @ weights.T / SCALE**2)
    to_mean = covariance @ weights / SCALE**2
    log_scale = raw_log_scale(1.2 * np.sqrt(np.diag(covariance)))[None]
    skip = skip._replace(encoder=jnp.asarray(to_mean.T, jnp.float32))
    model = model._replace(skip=skip._replace(log_scale=jnp.asarray(log_scale, jnp.float32)))
    x = np.asarray(marginal.rvs(IMAGES, random_state=0), np.float32)
    return autoencoder, model, x, -float(np.mean(marginal.logpdf(x)))


def test_the_bound_is_near_the_exact_likelihood_and_below_the_elbo(linear) -> None:
    autoencoder, model, x, exact = linear
    with jax.enable_x64(True):
        measure = jax.jit(make_measure(autoencoder, 2, 1.0, IMAGES, 3000))
        measured, _ = measure(model, jnp.asarray(x), jnp.int32(0))
    assert float(measured.negative_elbo.value) > exact + 0.2
    assert exact - 0.005 < float(measured.nll_iwae.value) < exact + 0.02


def bound_of(log_weights: np.ndarray) -> np.ndarray:
    """The estimator on given log weights (samples, images)."""
    with jax.enable_x64(True):
        weights = jnp.asarray(log_weights)
        nll = importance_weighted_nll(lambda k: weights[k], *log_weights.shape)
        assert nll.dtype == jnp.float64
        return np.asarray(nll)


def log_normal(x: np.ndarray, mean: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    return stats.norm.logpdf(x, mean, scale).sum(-1)


@settings(derandomize=True, deadline=None, database=None, max_examples=12)
@given(
    images=st.sampled_from([2, 100, 2000]),
    latents=st.sampled_from([1, 8, 64]),
    samples=st.sampled_from([1, 3, 20]),
    noise=st.floats(-4, 1),
    widen=st.sampled_from([0.5, 1.0, 1.5]),
    seed=st.integers(0, 1000),
)
@example(images=2000, latents=64, samples=20, noise=-4.0, widen=1.5, seed=0)
@example(images=2, latents=64, samples=20, noise=1.0, widen=0.5, seed=0)
def test_the_bound_is_that_of_a_dense_sum(images, latents, samples, noise, widen, seed):
    """p(z) = N(0, I), p(x|z) = N(z, s^2 I), s from 1e-4 to 10; q(z|x) is `widen` times too wide.

    With the exact posterior (widen = 1) every weight is p(x), so that one sample is enough.
    """
    random, scale = np.random.default_rng(seed), 10**noise
    x = math.hypot(1, scale) * random.normal(size=(images, latents))
    mean, spread = x / (1 + scale**2), widen * scale / math.hypot(1, scale)
    z = mean + spread * random.normal(size=(samples, images, latents))
    log_weights = log_normal(x, z, scale) + log_normal(z, 0.0, 1.0) - log_normal(z, mean, spread)
    measured = bound_of(log_weights)
    dense = math.log(samples) - logsumexp(log_weights, axis=0)
    np.testing.assert_allclose(measured, dense, rtol=1e-14, atol=1e-4)
    if samples == 1:  # the negative ELBO with a sampled rate
        np.testing.assert_allclose(measured, -log_weights[0], rtol=1e-14)
    if widen == 1:
        exact = -log_normal(x, 0.0, math.hypot(1, scale))
        np.testing.assert_allclose(measured, exact, rtol=0, atol=1e-4)


def test_weights_too_small_for_any_float_still_count() -> None:
    """exp(-1e5) is 0 in float64. A sample of probability 0 adds nothing, and no nan."""
    weights = np.array([[-1e5, -1e5, 3.0], [-1e5 + math.log(3), -np.inf, 3.0]])
    expected = [1e5 - math.log(2), 1e5 + math.log(2), -3.0]
    np.testing.assert_allclose(bound_of(weights), expected, rtol=1e-14)
