"""Bounds from subsets of the images, against a loop in NumPy and quadrature."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from ratedistortion.estimators import subset_bounds

COUNT, SIZE = 48, 12


def bounds(log_densities: np.ndarray) -> tuple[float, float]:
    with jax.enable_x64(True):
        lower, upper = subset_bounds(jnp.asarray(log_densities))
        return float(lower), float(upper)


def test_both_bounds_are_those_of_a_loop():
    log_q = np.random.default_rng(0).normal(size=(5, 5)) * 3
    lower, upper = [], []
    for i in range(5):
        others = [log_q[i, j] for j in range(5) if j != i]
        lower.append(log_q[i, i] - special.logsumexp(log_q[i]) + math.log(5))
        upper.append(log_q[i, i] - special.logsumexp(others) + math.log(4))
    np.testing.assert_allclose(bounds(log_q), (np.mean(lower), np.mean(upper)), rtol=1e-12)


def test_equal_posteriors_have_bounds_of_zero():
    log_q = np.repeat(np.random.default_rng(0).normal(size=(8, 1)), 8, 1)
    np.testing.assert_allclose(bounds(log_q), 0, atol=1e-14)


def test_posteriors_that_do_not_overlap_have_log_k_and_an_infinite_upper_bound():
    lower, upper = bounds(np.where(np.eye(8, dtype=bool), 0.0, -np.inf))
    assert lower == math.log(8) and upper == math.inf


def quadrature(mean: np.ndarray, scale: np.ndarray) -> float:
    """I(n;z) of a mixture in one dimension: its entropy less that of its components."""

    def integrand(z: float) -> float:
        density = stats.norm.pdf(z, mean, scale).mean()
        return -special.xlogy(density, density)

    ends = mean.min() - 10 * scale.max(), mean.max() + 10 * scale.max()
    mixed, _ = integrate.quad(integrand, *ends, limit=500, points=mean)
    return mixed - stats.norm(mean, scale).entropy().mean()


def bounds_of_draws(
    mean: np.ndarray, scale: np.ndarray, size: int, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard errors of both bounds over random subsets, one code of every image."""
    random, found = np.random.default_rng(1), []
    for _ in range(draws):
        rows = random.permutation(len(mean))[:size]
        own, width = mean[rows], scale[rows]
        z = own + width * random.normal(size=size)
        found.append(stats.norm.logpdf(z[:, None], own[None], width[None]))
    with jax.enable_x64(True):
        both = np.array(jax.vmap(subset_bounds)(jnp.asarray(np.array(found))))
    return both.mean(1), both.std(1) / math.sqrt(draws)


@pytest.mark.parametrize("width", [0.1, 0.4, 2.0])
def test_the_bounds_bracket_the_information_of_a_mixture_by_quadrature(width):
    """Within 3 standard errors, for sharp and wide posteriors; the lower bound is at most log K."""
    random = np.random.default_rng(0)
    mean, scale = random.normal(size=COUNT), width * random.uniform(0.7, 1.3, COUNT)
    truth = quadrature(mean, scale)
    (lower, upper), error = bounds_of_draws(mean, scale, SIZE, 1000)
    assert lower < truth + 3 * error[0] and lower <= math.log(SIZE)
    assert upper > truth - 3 * error[1]
    assert lower < upper


def test_with_all_images_the_lower_bound_is_the_information():
    """K = N: equal within 3 standard errors, and the upper bound is above."""
    mean, scale = np.linspace(-2, 2, SIZE), np.full(SIZE, 0.4)
    (lower, upper), error = bounds_of_draws(mean, scale, SIZE, 2000)
    truth = quadrature(mean, scale)
    assert abs(lower - truth) < 3 * error[0]
    assert upper > truth + 3 * error[1]
