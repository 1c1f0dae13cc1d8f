"""The scale of the gaussian likelihood where it is learned: closed forms of linear models."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import datasets
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.settings import Settings
from ratedistortion.training.objective import make_loss
from ratedistortion.training.state import DataShape, selected

BETAS = (1.3, 1.8)


def optimum(variances: np.ndarray, beta: float) -> tuple[float, float, float]:
    """Scale, D and R of the linear beta-VAE whose s^2 is the mean squared error, by bisection.

    Reverse water-filling has the squared error sum_i min(l_i, beta s^2), which is d s^2 at the best
    s. Between 0 and the mean variance there is one such s above 0 where beta is above 1.
    """
    low, high = 1e-9, float(variances.mean())
    for _ in range(200):
        middle = (low + high) / 2
        error = np.minimum(variances, beta * middle).mean()
        low, high = (middle, high) if error > middle else (low, middle)
    level = np.minimum(variances, beta * low)
    distortion = len(variances) / 2 * (math.log(2 * math.pi * low) + 1)
    return math.sqrt(low), distortion, float(0.5 * np.log(variances / level).sum())


@pytest.mark.slow
@pytest.mark.parametrize("select", ["last", "best"])
def test_a_linear_run_finds_its_scale(train_linear, select):
    ended = train_linear(likelihood_scale="learned", betas=BETAS, select=select, steps=4000)
    settings = Settings(dataset="gaussian:4,1,0.25", max_examples=4000, likelihood="gaussian")
    variances = np.linalg.eigvalsh(np.cov(datasets.load(settings).train.T.astype(float), bias=True))
    for n, beta in enumerate(BETAS):
        scale, distortion, rate = optimum(variances, beta)
        found = float(selected(ended.state).likelihood_scale[n])
        # The fixture's D is of other codes, and of the scale that is the best for these.
        own = math.exp(ended.distortion[n] / 3 - 0.5 * math.log(2 * math.pi * math.e))
        assert found == pytest.approx(own, rel=0.03)
        assert found == pytest.approx(scale, rel=0.05)
        loss = ended.distortion[n] + beta * ended.rate[n]
        assert loss == pytest.approx(distortion + beta * rate, abs=0.03)
        assert ended.rate[n] == pytest.approx(rate, abs=0.1)


def test_the_loss_is_that_of_the_best_scale_and_so_is_its_gradient():
    """D = d/2 (1 + log(2 pi mse)): its slope by the parameters is d/2 times that of log mse."""
    settings = Settings(
        dataset="made", likelihood="gaussian", likelihood_scale="learned", hidden=(4,), latents=2
    )
    spread = np.array([0.5, 2.0, 4.0], np.float32)
    autoencoder = Autoencoder(settings, (3,), spread)
    loss = make_loss(settings, autoencoder, DataShape(20, 1.0, False))
    model = autoencoder.build(jax.random.key(1))
    x, key = jax.random.normal(jax.random.key(0), (20, 3), jnp.float32), jax.random.key(2)

    def distortion(model):
        return loss(model, x, key, lambda rate: 0 * rate)[0]

    def truth(model):
        posterior = autoencoder.encode(model, x)
        noise = jax.random.normal(jax.random.split(key)[0], (20, 2), jnp.float32)
        z = autoencoder.draw(model, posterior, noise)
        mean = autoencoder.decode(model, z, key)
        mse = jnp.mean(((x - mean) * spread[None]) ** 2)
        return 1.5 * (1 + jnp.log(2 * math.pi * mse))

    (found, slopes), (expected, true_slopes) = (
        jax.value_and_grad(function)(model) for function in (distortion, truth)
    )
    assert found == pytest.approx(float(expected), rel=1e-5)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5),
        slopes._replace(likelihood_scale=0.0),
        true_slopes._replace(likelihood_scale=0.0),
    )
    assert slopes.likelihood_scale == 0
