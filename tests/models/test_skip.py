"""Where linear maps start: the formulas of reverse water-filling in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion.datasets.principal import Principal
from ratedistortion.models.layers import bounded_log_scale
from ratedistortion.models.likelihoods import LIKELIHOODS, LinearOutputs
from ratedistortion.models.skip import beta_of_rate, optimal_skip
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
    skip = optimal_skip(leading, OUTPUTS, jnp.float32(beta), latents)
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
    beta = float(jax.jit(beta_of_rate)(PRINCIPAL, OUTPUTS, jnp.float32(rate)))
    assert rate_of(beta) == pytest.approx(rate, rel=1e-4, abs=1e-5)
    if rate == 0:  # the smallest one at which every latent is useless
        assert beta == pytest.approx(VARIANCES[0] / NOISE, rel=1e-5)


def test_equal_images_have_a_beta_above_0():
    beta = beta_of_rate(PRINCIPAL._replace(variances=0 * VARIANCES), OUTPUTS, jnp.float32(5.0))
    assert float(beta) > 0


def test_beta_of_the_rate_of_a_beta_is_this_beta():
    for beta in (1e-5, 0.02, 0.5, 2.9):
        rate = jnp.float32(rate_of(beta))
        assert float(beta_of_rate(PRINCIPAL, OUTPUTS, rate)) == pytest.approx(beta, rel=1e-3)


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
def test_a_learned_scale_is_that_of_the_error_at_the_start(rate):
    """At the level beta s^2 the error of a dimension is s^2, whichever of them is asked for."""
    count = 30  # latents: the variance of the other directions is never predicted
    leading = PRINCIPAL._replace(
        directions=PRINCIPAL.directions[:, :count],
        variances=PRINCIPAL.variances[:count],
        rest=jnp.float32(VARIANCES[count:].sum()),
    )
    outputs = OUTPUTS._replace(noise=None)
    beta = float(beta_of_rate(leading, outputs, jnp.float32(rate)))
    skip = optimal_skip(leading, outputs, jnp.float32(beta), count)
    share = np.exp(2 * np.asarray(bounded_log_scale(skip.log_scale), float)[0])
    assert -0.5 * np.log(share).sum() == pytest.approx(rate, rel=1e-3)
    unknown = (
        np.minimum(VARIANCES[:count], share * VARIANCES[:count]).sum() + VARIANCES[count:].sum()
    )
    level = (share * VARIANCES[:count])[share < 1]
    np.testing.assert_allclose(level, beta * unknown / DIMENSIONS, rtol=1e-3)
