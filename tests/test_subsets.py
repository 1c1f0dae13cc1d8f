"""Bounds from subsets of the images, against a loop in NumPy and the exact estimate."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from ratedistortion.estimators import Posteriors, mixture_terms, subset_bounds

COUNT, SIZE = 240, 12


def bounds(log_densities: np.ndarray) -> tuple[float, float]:
    with jax.enable_x64(True):
        lower, upper = subset_bounds(jnp.asarray(log_densities))
        return float(lower), float(upper)


def test_they_are_those_of_a_loop():
    log_q = np.random.default_rng(0).normal(size=(5, 5)) * 3
    lower, upper = [], []
    for i in range(5):
        others = [log_q[i, j] for j in range(5) if j != i]
        lower.append(log_q[i, i] - special.logsumexp(log_q[i]) + math.log(5))
        upper.append(log_q[i, i] - special.logsumexp(others) + math.log(4))
    np.testing.assert_allclose(bounds(log_q), (np.mean(lower), np.mean(upper)), rtol=1e-12)


def test_equal_posteriors_say_exactly_nothing():
    log_q = np.repeat(np.random.default_rng(0).normal(size=(8, 1)), 8, 1)
    np.testing.assert_allclose(bounds(log_q), 0, atol=1e-14)


def test_posteriors_apart_say_log_k_and_have_no_upper_bound():
    lower, upper = bounds(np.where(np.eye(8, dtype=bool), 0.0, -np.inf))
    assert lower == math.log(8) and upper == math.inf


def test_they_bracket_the_exact_information():
    """Means over 20 random subsets, within 3 standard errors."""
    random = np.random.default_rng(1)
    mean, scale = random.normal(size=(COUNT, 2)), np.full((COUNT, 2), 0.6)
    z = mean + scale * random.normal(size=mean.shape)
    with jax.enable_x64(True):
        posteriors = Posteriors(jnp.asarray(mean), jnp.asarray(scale))
        terms = mixture_terms(jnp.asarray(z), None, jnp.arange(COUNT), posteriors)
        exact = float(jnp.mean(terms.information))
    log_q = stats.norm(mean[None], scale[None]).logpdf(z[:, None]).sum(-1)
    groups = random.permutation(COUNT).reshape(-1, SIZE)
    found = np.array([bounds(log_q[np.ix_(rows, rows)]) for rows in groups])
    (low, high), error = found.mean(0), 3 * found.std(0) / math.sqrt(len(groups))
    assert low - error[0] < exact < high + error[1]
    assert low < high and low <= math.log(SIZE)
