"""The importance-weighted bound against the exact likelihood of a linear-Gaussian model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ratedistortion.measure import make_measure
from ratedistortion.models.autoencoder import Functions, Model, make_functions
from ratedistortion.settings import Settings

SCALE, IMAGES = 0.5, 400


@pytest.fixture(scope="module")
def linear() -> tuple[Functions, Model, np.ndarray, float]:
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
    functions = make_functions(settings, 3)
    model = functions.build(jax.random.key(3, impl="threefry2x32"))
    layer = model.decoder.layers[0]
    weights, bias = np.asarray(layer.kernel[...], float), np.asarray(layer.bias[...], float)
    marginal = stats.multivariate_normal(bias, weights.T @ weights + SCALE**2 * np.eye(3))
    covariance = np.linalg.inv(np.eye(2) + weights @ weights.T / SCALE**2)
    to_mean = covariance @ weights / SCALE**2
    values = {
        ".mean.layers[0].kernel": to_mean.T,
        ".mean.layers[0].bias": -to_mean @ bias,
        ".log_scale": np.log(1.2 * np.sqrt(np.diag(covariance))),
    }

    def placed(path: tuple[object, ...], leaf: jax.Array) -> jax.Array:
        name = jax.tree_util.keystr(path)
        new = [value for ending, value in values.items() if ".encoder" + ending in name]
        return jnp.asarray(new[0], jnp.float32) if new else leaf

    model = jax.tree_util.tree_map_with_path(placed, model)
    x = np.asarray(marginal.rvs(IMAGES, random_state=0), np.float32)
    return functions, model, x, -float(np.mean(marginal.logpdf(x)))


def measured(linear: tuple[Functions, Model, np.ndarray, float], samples: int):
    functions, model, x, _ = linear
    with jax.enable_x64(True):
        measure = jax.jit(make_measure(functions, 2, 1.0, IMAGES, samples))
        return measure(model, jnp.asarray(x), jnp.int32(0))[0]


def test_the_bound_falls_to_the_exact_likelihood(linear) -> None:
    exact = linear[3]
    few, many = measured(linear, 1), measured(linear, 3000)
    elbo = float(few.negative_elbo.value)
    # One sample is the negative ELBO with a sampled rate: equal within 5 standard errors.
    assert abs(float(few.nll_iwae.value) - elbo) < 5 * float(few.nll_iwae.standard_error)
    assert elbo > exact + 0.2
    assert exact - 0.005 < float(many.nll_iwae.value) < exact + 0.02


def test_it_is_missing_unless_asked_for(linear) -> None:
    assert np.isnan(measured(linear, 0).nll_iwae.value)
