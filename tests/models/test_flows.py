"""Flows against the change of variables, and the bounds of I(n;z) that they leave."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ratedistortion.measuring.measurement import make_measure
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.settings import Settings

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

DIMENSIONS = 6


def key_of(number: int) -> jax.Array:
    return jax.random.key(number, impl="threefry2x32")


def model_of(latents: int, factor: float = 3, **families):
    """A model far from its start, where the flows are nearly the identity and biases zero."""
    settings = Settings(dataset="made", latents=latents, hidden=(8,), **families)
    autoencoder = Autoencoder(settings, (DIMENSIONS,))
    leaves, structure = jax.tree.flatten(autoencoder.build(key_of(0)))
    keys = jax.random.split(key_of(7), len(leaves))
    moved = [
        factor * (leaf + 0.05 * jax.random.normal(key, leaf.shape, jnp.float32))
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return autoencoder, jax.tree.unflatten(structure, moved)


def wide(tree):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree)


@pytest.mark.parametrize("latents", [1, 4])
def test_maf_is_the_change_of_variables_of_its_own_draws(latents, monkeypatch):
    """log p(z) = log N(e) - log |det dz/de| where `sample` makes z of e; float64, N by SciPy."""
    autoencoder, model = model_of(latents, prior="maf")
    with jax.enable_x64(True):
        prior = wide(model.prior)
        start = jax.random.normal(key_of(1), (latents,), jnp.float64)

        def drawn(noise):
            monkeypatch.setattr(jax.random, "normal", lambda *_: noise[None])
            return prior.sample(key_of(2), 1)[0]

        z, jacobian = jax.jit(lambda noise: (drawn(noise), jax.jacfwd(drawn)(noise)))(start)
        measured = float(jax.jit(autoencoder.log_prior)(model, z[None])[0])
    jacobian = np.asarray(jacobian)
    _, log_volume = np.linalg.slogdet(jacobian)
    assert abs(log_volume) > 1e-3
    assert measured == pytest.approx(stats.norm.logpdf(start).sum() - log_volume, abs=1e-9)
    if latents > 1:  # every latent of z depends on every one of e
        assert (np.abs(jacobian) > 1e-6).all()


@pytest.mark.parametrize("latents", [1, 4])
def test_draws_of_maf_are_taken_back_to_the_noise_they_came_from(latents):
    """By the plain networks, in a loop over the steps, float64."""
    _, model = model_of(latents, prior="maf")
    key = key_of(3)
    z = np.asarray(model.prior.sample(key, 20), float)
    with jax.enable_x64(True):
        for step in wide(model.prior).steps:
            outputs = np.asarray(step(jnp.asarray(z), None))
            shift, raw = np.moveaxis(outputs.reshape(20, latents, 2), -1, 0)
            z = ((z - shift) * np.exp(-3 * np.tanh(raw / 3)))[:, ::-1]
    np.testing.assert_allclose(z, jax.random.normal(key, (20, latents), jnp.float32), atol=1e-4)


def test_a_flow_starts_near_the_normal_it_is_made_of():
    """Not on it, where nothing would be learnt."""
    z = jax.random.normal(key_of(1), (200, 4), jnp.float32)
    x = jax.random.normal(key_of(2), (200, DIMENSIONS), jnp.float32)
    settings = Settings(dataset="made", latents=4, hidden=(8,), prior="maf", encoder="iaf")
    autoencoder = Autoencoder(settings, (DIMENSIONS,))
    model = autoencoder.build(key_of(0))
    away = np.abs(autoencoder.log_prior(model, z) - stats.norm.logpdf(z).sum(1))
    moved = np.abs(model.encoder.flow(z, autoencoder.encode(model, x).context) - z)
    assert 0 < away.mean() < 0.5 and 0 < moved.mean() < 0.2


@pytest.mark.parametrize("place", [0.0, 1e3, -1e6])
def test_the_density_of_maf_is_finite_far_away(place):
    """A scale is bounded, so that neither a density nor its gradient overflows."""
    autoencoder, model = model_of(3, 10, prior="maf")
    z = jnp.full((1, 3), place, jnp.float32)
    value, gradient = jax.value_and_grad(lambda z: autoencoder.log_prior(model, z)[0])(z)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("latents", [1, 4])
def test_iaf_changes_no_volume_and_is_inverted(latents):
    autoencoder, model = model_of(latents, encoder="iaf")
    x = jax.random.normal(key_of(1), (3, DIMENSIONS), jnp.float32)
    posterior = autoencoder.encode(model, x)
    noise = jax.random.normal(key_of(2), (3, latents), jnp.float32)
    flow, unflow = jax.jit(model.encoder.flow), jax.jit(model.encoder.unflow)
    context = posterior.context
    assert context is not None and not autoencoder.gaussian(model)
    start = posterior.mean + jnp.exp(posterior.log_scale) * noise
    z = flow(start, context)
    np.testing.assert_array_equal(autoencoder.draw(model, posterior, noise), z)
    np.testing.assert_allclose(unflow(z, context), start, rtol=1e-5, atol=1e-5)
    with jax.enable_x64(True):
        own, exact_noise = wide(posterior), wide(noise)
        exact = autoencoder.draw(model, own, exact_noise)
        back = jax.jit(wide(model.encoder).unflow)(exact, own.context)
        log_q = jax.jit(autoencoder.log_posterior)(model, own, exact)
    mean, scale = np.asarray(own.mean), np.exp(np.asarray(own.log_scale))
    expected = mean + scale * np.asarray(exact_noise)
    np.testing.assert_allclose(back, expected, rtol=1e-12, atol=1e-12)
    expected = stats.norm.logpdf(np.asarray(back), mean, scale).sum(1)
    np.testing.assert_allclose(log_q, expected, rtol=1e-9)

    def one(row):
        return model.encoder.flow(row[None], context[:1])[0]

    jacobian = np.asarray(jax.jit(jax.jacfwd(one))(start[0]), float)
    assert np.linalg.slogdet(jacobian)[1] == pytest.approx(0, abs=1e-5)
    if latents > 1:
        other = flow(start, context[::-1])
        assert np.any(np.abs(other - z) > 1e-3)  # what the flow does depends on x
        assert np.abs(np.linalg.inv(jacobian) - np.eye(latents)[:, ::-1]).max() > 1e-2


def test_the_posterior_of_iaf_integrates_to_one_and_its_rate_is_that_of_quadrature():
    autoencoder, model = model_of(2, 1.5, encoder="iaf")
    x = jax.random.normal(key_of(3), (1, DIMENSIONS), jnp.float32)
    count = 20_000
    many = jax.tree.map(lambda leaf: jnp.repeat(leaf, count, 0), autoencoder.encode(model, x))
    noise = jax.random.normal(key_of(4), (count, 2), jnp.float32)
    draws = autoencoder.draw(model, many, noise)
    axes = [np.linspace(c.mean() - 9 * c.std(), c.mean() + 9 * c.std(), 801) for c in draws.T]
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2).astype(np.float32)

    @jax.jit
    def log_densities(z):
        posterior = jax.tree.map(
            lambda leaf: jnp.repeat(leaf, len(z), 0), autoencoder.encode(model, x)
        )
        return autoencoder.log_posterior(model, posterior, z), autoencoder.log_prior(model, z)

    log_q, log_p = (np.asarray(part, float) for part in log_densities(jnp.asarray(grid)))
    weight = np.exp(log_q) * np.prod([axis[1] - axis[0] for axis in axes])
    assert weight.sum() == pytest.approx(1, abs=1e-3)
    rates = np.asarray(autoencoder.rate(model, many, noise, draws))
    truth = weight @ (log_q - log_p)
    assert abs(rates.mean() - truth) < 4 * rates.std() / math.sqrt(count) + 1e-3 * abs(truth)


def test_a_flow_s_information_has_bounds_and_no_estimate():
    autoencoder, model = model_of(3, encoder="iaf")
    images = np.random.default_rng(0).normal(size=(300, DIMENSIONS)).astype(np.float32)
    with jax.enable_x64(True):
        measure = jax.jit(make_measure(autoencoder, 3, 1.0, 256))
        m, codes = jax.tree.map(np.asarray, measure(model, jnp.asarray(images), jnp.int32(0)))
    for name in ("mutual_information", "marginal_kl", "identity_residual"):
        assert np.isnan(getattr(m.information, name)).all()
    assert np.isnan(m.information.marginal_kl_gaussian)
    lower, upper = m.information.mutual_information_lower, m.information.mutual_information_upper
    assert 0 < lower.value <= math.log(128)
    assert lower.value < upper.value + 4 * (lower.standard_error + upper.standard_error)
    np.testing.assert_equal(m.information.leave_one_out, upper)
    assert codes.code.shape == (300, 3)
