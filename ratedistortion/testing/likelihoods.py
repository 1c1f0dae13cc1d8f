"""Does a likelihood keep to what it must?"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from ratedistortion.models.likelihoods import Likelihood
from ratedistortion.settings import Settings
from ratedistortion.testing.common import (
    Build,
    key_of,
    model_with,
    require,
    require_close,
    small_settings,
)

_MANY = 20  # random outputs of a decoder that are tried
_DRAWS = 20_000
_GRID = np.linspace(-7.9, 7.9, 2001)
_LEAST_P = 1e-4  # p-value of a test: below it would be a 4-sigma event


def check_likelihood(
    make: Build,
    settings: Settings | None = None,
    values: Sequence[float] | Sequence[int] | np.ndarray | None = None,
    exact_mean: bool = True,
) -> None:
    """Runs the contract of likelihoods on one, in seconds.

    It checks shapes and types; that the gradient is finite and reaches every output; and in one
    dimension that all probabilities sum, or the density integrates, to one, that draws follow it,
    and that `mean` and `least` agree with it.

    Args:
        make: `make(settings)`, or its name such as `net.py:build`.
        settings: What to make it with; None for defaults.
        values: All values that one dimension of x can have, or so many that others are unlikely
            where outputs are standard normal; None if x is any real number.
        exact_mean: Whether `mean` is E[x|z], and not another point in the middle.

    Raises:
        AssertionError: With one sentence that says what is wrong.
    """
    likelihood = model_with("likelihood", make, small_settings(settings), (2,)).likelihood
    given = np.random.default_rng(0).normal(size=(_MANY, likelihood.outputs)).astype(np.float32)
    if values is None:
        x, widths = 3 * np.sinh(_GRID), 3 * np.cosh(_GRID) * (_GRID[1] - _GRID[0])
    else:
        x = np.asarray(values, float)
        widths = np.ones(len(x))
    log_p = _log_p(likelihood, x, given)
    require(np.isfinite(log_p).any(1).all(), "likelihood: log_density is not finite anywhere.")
    p = np.exp(log_p.astype(float)) * widths
    require_close(p.sum(1), 1, "likelihood: its density over all x in one dimension", 0.0, 1e-3)
    least = -log_p.max()
    require(
        least > likelihood.least - 1e-4,
        f"likelihood: -log p can be {least:.4g} in one dimension, below its least,"
        f" {likelihood.least:.4g}.",
    )
    if exact_mean:
        means = likelihood.mean(jnp.asarray(given))
        require_close(means, p @ x, "likelihood: mean is not that of the density", 2e-3, 2e-3)
    _check_gradient(likelihood, given)
    _check_draws(likelihood, x, given[:1] / 2, values is None)
    _check_linear(likelihood)


def _log_p(likelihood: Likelihood, x: Any, given: Any) -> np.ndarray:
    """log p of every x with every output, (outputs, x); compiled for many at once and not."""
    points = jnp.asarray(x[:, None], jnp.float32)

    def of_one(outputs: Any) -> Any:
        return likelihood.log_density(points, jnp.tile(outputs[None, None], (len(points), 1, 1)))

    together = np.asarray(jax.jit(jax.vmap(of_one))(jnp.asarray(given)))
    alone = np.asarray(of_one(jnp.asarray(given[0])))
    require_close(together[0], alone, "likelihood: log_density differs under jax.jit and jax.vmap")
    return together


def _check_gradient(likelihood: Likelihood, given: Any) -> None:
    def loss(outputs: Any) -> Any:
        x = likelihood.sample(key_of(2), outputs)
        return jnp.sum(likelihood.log_density(jax.lax.stop_gradient(x), outputs))

    slopes = np.asarray(jax.grad(loss)(jnp.asarray(given[:, None])))
    require(np.isfinite(slopes).all(), "likelihood: the gradient by the outputs is not finite.")
    require(np.any(slopes, (0, 1)).all(), "likelihood: log_density does not use all outputs.")


def _check_draws(likelihood: Likelihood, x: np.ndarray, given: Any, real: bool) -> None:
    many = jnp.repeat(jnp.asarray(given), _DRAWS, 0)
    draws = np.asarray(likelihood.sample(key_of(1), many), float)
    p = np.exp(_log_p(likelihood, x, given)[0].astype(float))
    if real:
        steps = np.diff(x) * (p[1:] + p[:-1]) / 2
        below = np.concatenate([[0], np.cumsum(steps)])
        p_value = stats.kstest(draws, lambda z: np.interp(z, x, below)).pvalue
    else:
        nearest = np.abs(draws[:, None] - x[None]).argmin(1)
        away = np.abs(draws - x[nearest]).max()
        require(away < 1e-4, f"likelihood: a draw is {away:.3g} away from all values.")
        found, expected = np.bincount(nearest, minlength=len(x)), _DRAWS * p / p.sum()
        common = expected >= 5  # the rest as one cell
        found, expected = (
            np.append(each[common], each[~common].sum()) for each in (found, expected)
        )
        kept = expected > 0
        statistic = np.sum((found[kept] - expected[kept]) ** 2 / expected[kept])
        p_value = stats.chi2(max(kept.sum() - 1, 1)).sf(statistic)
    require(
        p_value > _LEAST_P,
        f"likelihood: draws do not follow log_density: {_DRAWS:,} of them have a p-value of"
        f" {p_value:.1g}.",
    )


def _check_linear(likelihood: Likelihood) -> None:
    average = jnp.linspace(0.35, 0.65, 7, dtype=jnp.float32)
    outputs = likelihood.linear(average)
    require(outputs.noise > 0, f"likelihood: noise of linear must be above 0: {outputs.noise}.")
    found, sentence = likelihood.mean(outputs.bias), "likelihood: mean for the bias of linear"
    require_close(found, average, sentence, 0.0, 0.03)
