"""Flows against the change of variables, and the bounds of I(n;z) that they leave."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion.measure import make_measure
from ratedistortion.models import flows
from ratedistortion.models.autoencoder import make_functions
from ratedistortion.settings import Settings

DIMENSIONS = 6


def key_of(number: int) -> jax.Array:
    return jax.random.key(number, impl="threefry2x32")


def model_of(latents: int, factor: float = 3, **families):
    """A model far from its start, where the flows are nearly the identity."""
    settings = Settings(dataset="made", latents=latents, hidden=(8,), **families)
    functions = make_functions(settings, (DIMENSIONS,))
    return functions, jax.tree.map(lambda leaf: factor * leaf, functions.build(key_of(0)))


@pytest.mark.parametrize("latents", [1, 2, 5])
def test_maf_is_the_change_of_variables_of_its_own_draws(latents):
    """log p(z) = log N(e) - log |det dz/de|, float64; e is found through the draw's key."""
    functions, model = model_of(latents, prior="maf")
    prior, key = model.prior, key_of(1)
    with jax.enable_x64(True):
        prior = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), prior)
        start = jax.random.normal(key, (1, latents), jnp.float32).astype(jnp.float64)

        def drawn(noise):
            z = noise[None]
            for step in reversed(prior.steps):
                z = flows._invert(z[:, ::-1], functools.partial(flows._affine, step))
            return z[0]

        z = drawn(start[0])
        _, log_volume = np.linalg.slogdet(np.asarray(jax.jacfwd(drawn)(start[0])))
        log_start = -0.5 * np.sum(np.asarray(start) ** 2 + math.log(2 * math.pi))
        measured = float(functions.log_prior(model, z[None])[0])
    assert latents == 1 or abs(log_volume) > 1e-3
    assert measured == pytest.approx(log_start - log_volume, abs=1e-6)
    draw = np.asarray(functions.sample_prior(model, key, 1))[0]
    np.testing.assert_allclose(draw, z, atol=1e-4)


@pytest.mark.parametrize("latents", [1, 2, 5])
def test_iaf_changes_no_volume_and_is_inverted(latents):
    functions, model = model_of(latents, encoder="iaf")
    x = jax.random.normal(key_of(1), (3, DIMENSIONS), jnp.float32)
    posterior = functions.encode(model, x)
    noise = jax.random.normal(key_of(2), (3, latents), jnp.float32)
    z = functions.draw(model, posterior, noise)
    assert not functions.gaussian(model)
    start = posterior.mean + jnp.exp(posterior.log_scale) * noise
    np.testing.assert_allclose(
        model.encoder.unflow(z, posterior.context), start, rtol=1e-4, atol=1e-4
    )

    def one(row):
        return model.encoder.flow(row[None], posterior.context[:1])[0]

    jacobian = np.asarray(jax.jacfwd(one)(start[0]), float)
    assert np.linalg.slogdet(jacobian)[1] == pytest.approx(0, abs=1e-5)
    if latents > 1:
        other = model.encoder.flow(start, posterior.context[::-1])
        assert np.any(np.abs(other - z) > 1e-3)  # what the flow does depends on x
        assert np.abs(np.linalg.inv(jacobian) - np.eye(latents)[:, ::-1]).max() > 1e-2


def test_the_posterior_of_iaf_integrates_to_one_and_its_rate_is_that_of_quadrature():
    functions, model = model_of(2, 1.5, encoder="iaf")
    x = jax.random.normal(key_of(3), (1, DIMENSIONS), jnp.float32)
    count = 20_000
    many = jax.tree.map(lambda leaf: jnp.repeat(leaf, count, 0), functions.encode(model, x))
    noise = jax.random.normal(key_of(4), (count, 2), jnp.float32)
    draws = functions.draw(model, many, noise)
    axes = [np.linspace(c.mean() - 9 * c.std(), c.mean() + 9 * c.std(), 801) for c in draws.T]
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2).astype(np.float32)

    @jax.jit
    def log_densities(z):
        posterior = jax.tree.map(
            lambda leaf: jnp.repeat(leaf, len(z), 0), functions.encode(model, x)
        )
        return functions.log_posterior(model, posterior, z), functions.log_prior(model, z)

    log_q, log_p = (np.asarray(part, float) for part in log_densities(jnp.asarray(grid)))
    weight = np.exp(log_q) * np.prod([axis[1] - axis[0] for axis in axes])
    assert weight.sum() == pytest.approx(1, abs=1e-3)
    rates = np.asarray(functions.rate(model, many, noise, draws))
    truth = weight @ (log_q - log_p)
    assert abs(rates.mean() - truth) < 4 * rates.std() / math.sqrt(count) + 1e-3 * abs(truth)


def test_a_flow_s_information_has_bounds_and_no_estimate():
    functions, model = model_of(3, encoder="iaf")
    images = np.random.default_rng(0).normal(size=(300, DIMENSIONS)).astype(np.float32)
    with jax.enable_x64(True):
        measure = jax.jit(make_measure(functions, 3, 1.0, 256))
        m, codes = jax.tree.map(np.asarray, measure(model, jnp.asarray(images), jnp.int32(0)))
    for name in ("mutual_information", "marginal_kl", "identity_residual"):
        assert np.isnan(getattr(m, name)).all()
    assert np.isnan(m.marginal_kl_gaussian)
    lower, upper = m.mutual_information_lower, m.mutual_information_upper
    assert 0 < lower.value <= math.log(128)
    assert lower.value < upper.value + 4 * (lower.standard_error + upper.standard_error)
    assert upper.value <= math.log(300)
    assert m.population_information_upper <= m.rate.value
    assert codes.code.shape == (300, 3)
