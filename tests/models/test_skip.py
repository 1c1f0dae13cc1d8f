"""Where linear maps start: the formulas of reverse water-filling in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion.datasets.principal import Principal
from ratedistortion.errors import SettingsError
from ratedistortion.models.layers import bounded_log_scale
from ratedistortion.models.likelihoods import LIKELIHOODS, LinearOutputs
from ratedistortion.models.skip import (
    check_learned_scale,
    level_of_beta,
    level_of_rate,
    optimal_skip,
)
from ratedistortion.settings import Settings

DIMENSIONS, NOISE = 50, 0.3
VARIANCES = np.concatenate([2.0 ** -np.arange(0, 11.5, 0.25), np.zeros(4)])  # 46 and 4
RANDOM = np.random.default_rng(0)
DIRECTIONS = np.linalg.qr(RANDOM.normal(size=(DIMENSIONS, DIMENSIONS)))[0] * (VARIANCES > 0)
SPREAD = np.geomspace(0.1, 10, DIMENSIONS)
MEAN = RANDOM.normal(size=DIMENSIONS)
PRINCIPAL = Principal(
    *(jnp.asarray(part, jnp.float32) for part in (MEAN, DIRECTIONS, VARIANCES, SPREAD, 0.0))
)
SLOPE, BIAS = np.array([2.0, -0.5]), RANDOM.normal(size=(DIMENSIONS, 2))
OUTPUTS = LinearOutputs(jnp.asarray(SLOPE, jnp.float32), jnp.asarray(BIAS, jnp.float32), NOISE)


def rate_of(beta: float, noise: float = NOISE) -> float:
    used = VARIANCES[VARIANCES > beta * noise]
    return 0.5 * float(np.log(used / (beta * noise)).sum())


@pytest.mark.parametrize("latents", [3, 40, DIMENSIONS, DIMENSIONS + 6])
@pytest.mark.parametrize("beta", [0.0, 1e-9, 0.01, 1.0, 3.0, 100.0])
def test_the_optimum_is_that_of_the_formulas(beta, latents):
    count = min(latents, DIMENSIONS)
    leading = PRINCIPAL._replace(
        directions=PRINCIPAL.directions[:, :count], variances=PRINCIPAL.variances[:count]
    )
    level = level_of_beta(leading, NOISE, jnp.float32(beta)).level
    skip = optimal_skip(leading, OUTPUTS, level, latents)
    with np.errstate(divide="ignore", invalid="ignore"):
        unknown = np.where(VARIANCES > beta * NOISE, beta * NOISE / VARIANCES, 1.0)[:count]
        to_code = np.where(unknown < 1, np.sqrt((1 - unknown) / VARIANCES[:count]), 0)
        log_scale = np.maximum(0.5 * np.log(unknown), -14.4)
    encoder = SPREAD[:, None] * DIRECTIONS[:, :count] * to_code
    prediction = (DIRECTIONS[:, :count] * np.sqrt((1 - unknown) * VARIANCES[:count])).T / SPREAD
    used = unknown < 1
    expected = {
        "centre": MEAN,
        "open": used | (np.arange(count) < 32),
        "encoder": encoder,
        "decoder": prediction[:, :, None] * SLOPE,
        "bias": BIAS,
    }
    for name, truth in expected.items():
        found = np.asarray(getattr(skip, name))
        if name in ("open", "encoder"):
            found, rest = found[:, :count], found[:, count:]
            np.testing.assert_array_equal(rest, name == "open" and latents <= 32)
        if name == "decoder":
            found, rest = found[:count], found[count:]
            np.testing.assert_array_equal(rest, 0)
        np.testing.assert_allclose(found.ravel(), np.ravel(truth), rtol=1e-4, atol=1e-5)
    found = np.asarray(bounded_log_scale(skip.log_scale))[0]
    np.testing.assert_allclose(found[:count], log_scale, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[count:], 0)
    assert all(leaf.dtype == jnp.float32 for leaf in skip)


@pytest.mark.parametrize("rate", [0.0, 0.01, 1.0, 17.0, 90.0, 400.0])
def test_beta_of_a_rate_is_the_beta_that_has_this_rate(rate):
    found = jax.jit(level_of_rate)(PRINCIPAL, NOISE, jnp.float32(rate))
    beta = float(found.beta)
    assert float(found.level) == pytest.approx(beta * NOISE, rel=1e-5)
    assert rate_of(beta) == pytest.approx(rate, rel=1e-4, abs=1e-5)
    if rate == 0:  # the smallest one at which every latent is useless
        assert beta == pytest.approx(VARIANCES[0] / NOISE, rel=1e-5)


def test_equal_images_have_a_beta_above_0():
    equal = PRINCIPAL._replace(variances=0 * VARIANCES)
    assert float(level_of_rate(equal, NOISE, jnp.float32(5.0)).beta) > 0


def test_beta_of_the_rate_of_a_beta_is_this_beta():
    for beta in (1e-5, 0.02, 0.5, 2.9):
        rate = jnp.float32(rate_of(beta))
        found = float(level_of_rate(PRINCIPAL, NOISE, rate).beta)
        assert found == pytest.approx(beta, rel=1e-3)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_outputs_at_the_mean_of_x_and_their_slope_are_a_good_prediction(name):
    """Where the prediction is d beside the mean, E[x|z] moves by about d."""
    likelihood = LIKELIHOODS[name](Settings(dataset="made", likelihood=name, levels=16))
    mean = jnp.linspace(0.35, 0.65, 7, dtype=jnp.float32)
    outputs = likelihood.linear(mean)
    assert outputs.slope.shape == (likelihood.outputs,)
    assert outputs.bias.shape == (7, likelihood.outputs)
    assert float(outputs.noise) > 0
    found = [
        np.asarray(likelihood.mean(outputs.bias + d * outputs.slope[None])) for d in (-0.05, 0.05)
    ]
    np.testing.assert_allclose((found[0] + found[1]) / 2, mean, atol=0.03)
    slopes = (found[1] - found[0]) / 0.1
    assert (slopes > 0.75).all() and (slopes < 1.1).all()


def test_the_noise_of_an_output():
    """p (1 - p) for bits, the variance of the likelihood for the others where it is fixed."""
    mean = jnp.array([0.5, 0.9], jnp.float32)

    def noise_of(name: str, **values) -> float:
        settings = Settings(dataset="made", likelihood=name, **values)
        return float(LIKELIHOODS[name](settings).linear(mean).noise)

    assert noise_of("bernoulli") == pytest.approx((0.25 + 0.09) / 2)
    assert noise_of("gaussian", likelihood_scale=0.7) == pytest.approx(0.49)
    # A logistic of scale e^-2 has this variance.
    assert noise_of("discretized-logistic") == pytest.approx(math.pi**2 / 3 * math.exp(-2) ** 2)


@pytest.mark.parametrize("rate", [0.5, 4.0, 17.0, 60.0])
@pytest.mark.parametrize("count", [30, DIMENSIONS])
def test_a_learned_scale_is_that_of_the_error_at_the_start(rate, count):
    """At the level beta s^2 the error of a dimension is s^2, whichever of them is asked for."""
    leading = PRINCIPAL._replace(  # the variance of other directions is never predicted
        directions=PRINCIPAL.directions[:, :count],
        variances=PRINCIPAL.variances[:count],
        rest=jnp.float32(VARIANCES[count:].sum()),
    )
    level, beta = map(float, level_of_rate(leading, None, jnp.float32(rate)))
    known = VARIANCES[:count]
    assert 0.5 * np.log(np.maximum(known / level, 1)).sum() == pytest.approx(rate, rel=1e-3)
    error = (np.minimum(known, level).sum() + VARIANCES[count:].sum()) / DIMENSIONS
    assert level == pytest.approx(beta * error, rel=1e-3)
    if level > VARIANCES[VARIANCES > 0].min() or count < 46:  # else all levels have this beta
        again = level_of_beta(leading, None, jnp.float32(beta))
        assert float(again.level) == pytest.approx(level, rel=1e-2)
    elif rate == 60:  # D is described in 46 of 50 dimensions
        assert beta == pytest.approx(50 / 46, rel=1e-4)


def test_a_learned_scale_has_an_optimum_only_where_beta_is_large_enough():
    """Of 50 dimensions 46 have a variance: the loss is (50 - 46 beta) / 2 times log level."""
    check_learned_scale(PRINCIPAL, (50 / 46 + 1e-6, 3.0), ())
    check_learned_scale(PRINCIPAL._replace(rest=jnp.float32(1e-9)), (0.1,), ())
    # The variances are 1, 2^-1/4, 2^-1/2 and so on: half the sum of the logs is known.
    most = 0.5 * math.log(2) * 0.25 * sum(range(46))
    check_learned_scale(PRINCIPAL, (0.1,), (3.0, most - 1e-3))
    with pytest.raises(SettingsError, match="above R = 89.68 .* give fewer"):
        check_learned_scale(PRINCIPAL, (0.1,), (3.0, most + 1e-2))
    with pytest.raises(SettingsError, match="46 latents can .* beta is at most 1.087: got 1;"):
        check_learned_scale(PRINCIPAL, (2.0, 1.0), ())
    with pytest.raises(SettingsError, match="all are equal"):
        check_learned_scale(PRINCIPAL._replace(variances=0 * VARIANCES), (2.0,), ())
