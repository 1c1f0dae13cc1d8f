"""One contract for every model that the families can make, and their densities against SciPy."""

import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import Autoencoder, Model, Posterior
from ratedistortion.models.decoders import DECODERS
from ratedistortion.models.encoders import ENCODERS
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.models.priors import PRIORS
from ratedistortion.settings import Settings
from ratedistortion.testing import check_decoder, check_encoder, check_prior

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

# An image of six pixels, hidden layers as wide: few shapes, so that little is compiled.
SHAPE, LATENTS, IMAGES = (2, 3, 1), 3, 4
DIMENSIONS = 6
# Computed are the pairs on which the code branches; all other pairs are traced.
ENCODER_PRIORS = [
    (encoder, prior)
    for encoder, prior in itertools.product(ENCODERS, PRIORS)
    if encoder in ("mlp", "iaf") or prior in ("standard", "vamp")
]
DECODER_LIKELIHOODS = [
    (decoder, likelihood)
    for decoder, likelihood in itertools.product(DECODERS, LIKELIHOODS)
    if decoder in ("mlp", "made") or likelihood in ("bernoulli", "categorical")
]


SMALL: dict[str, Any] = {
    "latents": LATENTS,
    "hidden": (6,),
    "channels": (2,),
    "strides": (1,),
    "components": 3,
    "levels": 2,
}


def settings_of(encoder="mlp", decoder="mlp", prior="standard", likelihood="bernoulli", **values):
    return Settings(
        dataset="made",
        encoder=encoder,
        decoder=decoder,
        prior=prior,
        likelihood=likelihood,
        **SMALL | values,
    )


def autoencoder_of(*names, **values):
    return Autoencoder(settings_of(*names, **values), SHAPE)


def key_of(number: int) -> jax.Array:
    return jax.random.key(number, impl="threefry2x32")


def pixels() -> jax.Array:
    return jax.random.bernoulli(key_of(1), 0.4, (IMAGES, DIMENSIONS)).astype(jnp.float32)


@pytest.mark.parametrize("encoder, prior", ENCODER_PRIORS)
def test_the_contract_of_every_encoder_with_every_prior(encoder, prior):
    settings = settings_of(encoder, prior=prior)
    if (encoder, prior) == ("iaf", "vamp"):
        with pytest.raises(SettingsError, match="prior vamp needs an encoder") as error:
            jax.eval_shape(Autoencoder(settings, SHAPE).build, key_of(0))
        assert "\n" not in str(error.value)
        return
    if encoder == "mlp":
        check_prior(PRIORS[prior], settings, SHAPE, tolerance=1e-5)
    if encoder != "mlp" or prior == "standard":
        check_encoder(ENCODERS[encoder], settings, SHAPE)


@pytest.mark.parametrize("decoder, likelihood", DECODER_LIKELIHOODS)
def test_the_contract_of_every_decoder_with_every_likelihood(decoder, likelihood):
    check_decoder(DECODERS[decoder], settings_of("mlp", decoder, likelihood=likelihood), SHAPE)


def models_in_which_all_pairs_meet() -> list[tuple[str, ...]]:
    """Thirty models: every two members of two families are together in at least one."""
    found = []
    for (i, encoder), (j, decoder) in itertools.product(enumerate(ENCODERS), enumerate(DECODERS)):
        prior, likelihood = list(PRIORS)[(i + 2 * j) % 5], list(LIKELIHOODS)[(i + j) % 4]
        found.append((encoder, decoder, prior, likelihood))
    return found


def test_all_pairs_meet():
    pairs = {
        pair
        for names in models_in_which_all_pairs_meet()
        for pair in itertools.combinations(enumerate(names), 2)
    }
    families = [ENCODERS, DECODERS, PRIORS, LIKELIHOODS]
    assert len(pairs) == sum(len(a) * len(b) for a, b in itertools.combinations(families, 2))


@pytest.mark.parametrize("names", models_in_which_all_pairs_meet(), ids="-".join)
def test_every_model_is_made_without_computing(names):
    if names[::2] == ("iaf", "vamp"):
        return  # they are refused
    autoencoder = autoencoder_of(*names)
    model = jax.eval_shape(autoencoder.build, key_of(0))
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(model))

    def loss(model, x, noise):
        posterior = autoencoder.encode(model, x)
        z = autoencoder.draw(model, posterior, noise)
        rate = autoencoder.rate(model, posterior, noise, z)
        return jnp.mean(rate - autoencoder.log_likelihood(model, x, z))

    noise = jnp.ones((IMAGES, LATENTS), jnp.float32)
    assert jax.eval_shape(loss, model, pixels(), noise).shape == ()


@pytest.mark.parametrize("family", [ENCODERS, DECODERS])
def test_mlp_without_hidden_layers_is_affine(family):
    """f(a) + f(b) = f(a + b) + f(0); an encoder's log scales are bounded, and not affine."""
    settings = Settings(dataset="made", hidden=(), latents=DIMENSIONS)
    more = (1,) if family is DECODERS else ()
    network = family["mlp"](key_of(1), settings, (DIMENSIONS,), *more)
    a, b = jax.random.normal(key_of(2), (2, 3, DIMENSIONS), jnp.float32)
    values = [np.asarray(jax.tree.leaves(network(x))[0]) for x in (a, b, a + b, 0 * a)]
    np.testing.assert_allclose(values[0] + values[1], values[2] + values[3], atol=1e-5)


def test_hidden_layers_are_mirrored_in_the_decoder():
    model = jax.eval_shape(autoencoder_of(hidden=(5, 4)).build, key_of(0))
    encoder = [leaf.shape for leaf in jax.tree.leaves(model.encoder) if leaf.ndim == 2]
    decoder = [leaf.shape for leaf in jax.tree.leaves(model.decoder) if leaf.ndim == 2]
    assert encoder == [(6, 5), (5, 4), (4, 6)]
    assert decoder == [(3, 4), (4, 5), (5, 6)]


def test_a_linear_model_has_one_log_scale_an_affine_mean_and_affine_outputs():
    autoencoder = autoencoder_of("linear", "linear")
    model = autoencoder.build(key_of(0))
    assert not jax.tree.leaves((model.encoder, model.decoder))
    model = model._replace(skip=jax.tree.map(lambda leaf: leaf + 0.5, model.skip))
    x = jax.random.normal(key_of(1), (5, DIMENSIONS), jnp.float32)
    mean, log_scale, _ = autoencoder.encode(model, x)
    assert (np.asarray(log_scale) == np.asarray(log_scale)[:1]).all()
    assert np.linalg.matrix_rank(np.asarray(mean)[:3] - np.asarray(mean)[3]) == 3
    for function, inputs in (
        (lambda x: autoencoder.encode(model, x).mean, x),
        (lambda z: jax.scipy.special.logit(autoencoder.decode(model, z, key_of(2))), mean / 4),
    ):
        one, two = inputs[:1], inputs[1:2]
        both, zero = function(one + two), function(0 * one)
        assert np.any(zero)
        np.testing.assert_allclose(both + zero, function(one) + function(two), atol=1e-5)


@pytest.mark.parametrize("scale", [0.05, 1.0, 3.0])
def test_gaussian_is_scipy_s(scale):
    likelihood = LIKELIHOODS["gaussian"](settings_of(likelihood_scale=scale))
    x, mean = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    expected = stats.norm(mean.astype(float), scale).logpdf(x).sum(1)
    measured = likelihood.log_density(jnp.asarray(x), jnp.asarray(mean)[..., None])
    np.testing.assert_allclose(measured, expected, rtol=1e-5)
    np.testing.assert_array_equal(likelihood.mean(jnp.asarray(mean)[..., None]), mean)


def test_the_scale_of_the_settings_reaches_the_likelihood():
    values = []
    for scale in (0.5, 1.0):
        autoencoder = autoencoder_of(likelihood="gaussian", likelihood_scale=scale)
        model, z = autoencoder.build(key_of(0)), jnp.zeros((IMAGES, LATENTS), jnp.float32)
        error = ((pixels() - autoencoder.decode(model, z, key_of(1))) ** 2).sum(1)
        expected = -error / (2 * scale**2) - DIMENSIONS * math.log(scale * math.sqrt(2 * math.pi))
        measured = autoencoder.log_likelihood(model, pixels(), z)
        np.testing.assert_allclose(measured, expected, rtol=1e-5)
        values.append(measured)
    assert np.all(values[0] != values[1])


@pytest.mark.parametrize("decoder", ["mlp", "made"])
def test_a_learned_scale_is_that_of_the_density_and_of_draws(decoder):
    """Of x in two units: the scale is one in the units of the data for all dimensions."""
    settings = settings_of(likelihood="gaussian", likelihood_scale="learned", decoder=decoder)
    spread = np.linspace(0.5, 2, DIMENSIONS).astype(np.float32)
    autoencoder = Autoencoder(settings, SHAPE, spread)
    model = autoencoder.build(key_of(0))
    assert math.isnan(model.likelihood_scale)
    model = autoencoder.with_best_likelihood_scale(model, jnp.float32(0.3**2))
    x, z = pixels(), jnp.zeros((IMAGES, LATENTS), jnp.float32)
    error = float(jnp.mean(autoencoder.squared_errors(model, x, z)))
    found = autoencoder.log_likelihood(model, x, z)
    constant = DIMENSIONS * math.log(0.3 * math.sqrt(2 * math.pi))
    expected = -DIMENSIONS * error / (2 * 0.3**2) - constant
    assert float(jnp.mean(found)) == pytest.approx(expected, rel=1e-4)
    if decoder == "made":
        zeros = jax.tree.map(jnp.zeros_like, model._replace(skip=None, likelihood_scale=None))
        none = model._replace(decoder=zeros.decoder, skip=jax.tree.map(jnp.zeros_like, model.skip))
        drawn = autoencoder.decode(none, jnp.zeros((2000, LATENTS), jnp.float32), key_of(1))
        np.testing.assert_allclose(np.std(drawn * spread[None], axis=0), 0.3, rtol=0.08)


def rate_of(prior: str, mean, log_scale, noise) -> np.ndarray:
    """KL(q || p), or its one-draw estimate, under a prior with parameters that are random."""
    autoencoder = autoencoder_of(prior=prior)
    posterior = Posterior(jnp.asarray(mean), jnp.asarray(log_scale))
    noise = jnp.asarray(noise)
    z = autoencoder.draw(random_model(prior), posterior, noise)
    return np.asarray(autoencoder.rate(random_model(prior), posterior, noise, z))


@functools.cache
def random_model(prior: str) -> Model:
    """A model whose prior's parameters are not those of the start."""
    model = autoencoder_of(prior=prior).build(key_of(0))
    leaves, structure = jax.tree.flatten(model.prior)
    random = np.random.default_rng(6)
    moved = [leaf + 0.5 * random.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    return model._replace(prior=jax.tree.unflatten(structure, map(jnp.asarray, moved)))


@pytest.mark.parametrize("mean, scale", [(0.0, 1.0), (1.5, 0.3), (-4.0, 2.0), (0.01, 0.999)])
def test_the_rate_is_that_of_quadrature(mean, scale):
    q, p = stats.norm(mean, scale), stats.norm()
    truth, _ = integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)),
        mean - 10 * scale,
        mean + 10 * scale,
        epsabs=1e-12,
    )
    shape = 1, LATENTS
    pair = jnp.full(shape, mean, jnp.float32), jnp.full(shape, math.log(scale), jnp.float32)
    rate = rate_of("standard", *pair, jnp.zeros(shape, jnp.float32))
    assert float(rate[0]) == pytest.approx(LATENTS * truth, rel=2e-6, abs=1e-7)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_rate_is_that_of_monte_carlo_over_the_prior_s_own_density(prior):
    """Within 4 standard errors; log q from SciPy, log p from the prior."""
    random, count = np.random.default_rng(0), 20_000
    mean, log_scale = random.normal(size=(2, 1, LATENTS)).astype(np.float32)
    noise = random.normal(size=(count, LATENTS)).astype(np.float32)
    z = mean + np.exp(log_scale) * noise
    log_q = stats.norm(mean, np.exp(log_scale)).logpdf(z).sum(1)
    log_p = autoencoder_of(prior=prior).log_prior(random_model(prior), jnp.asarray(z))
    terms = log_q - np.asarray(log_p)
    pair = (jnp.asarray(np.repeat(part, count, 0)) for part in (mean, log_scale))
    rate = rate_of(prior, *pair, jnp.asarray(noise)).mean()
    assert abs(terms.mean() - rate) < 4 * terms.std() / math.sqrt(count)


def test_a_collapsed_posterior_has_a_rate_of_exactly_zero():
    zeros = jnp.zeros((5, LATENTS), jnp.float32)
    assert np.all(rate_of("standard", zeros, zeros, zeros) == 0)


def test_the_rate_keeps_its_digits_near_collapse():
    """KL ~ mean^2 / 2 + log_scale^2 to second order; s^2 - 1 - log s^2 would cancel to noise."""
    small = jnp.full((1, LATENTS), 1e-3, jnp.float32)
    assert float(rate_of("standard", small, small, small)[0]) == pytest.approx(4.5e-6, rel=0.02)


def test_the_standard_prior_s_density_and_draws():
    prior = PRIORS["standard"](key_of(0), settings_of(), SHAPE)
    z = np.random.default_rng(0).normal(size=(9, LATENTS)).astype(np.float32)
    expected = stats.multivariate_normal(np.zeros(LATENTS)).logpdf(z)
    np.testing.assert_allclose(prior.log_density(jnp.asarray(z)), expected, rtol=1e-6)
    draws = np.asarray(prior.sample(key_of(1), 5000))
    # Kolmogorov and Smirnov: a p-value below 1e-4 would be a 4-sigma event.
    assert all(stats.kstest(column, stats.norm().cdf).pvalue > 1e-4 for column in draws.T)
    assert np.abs(np.corrcoef(draws.T) - np.eye(LATENTS)).max() < 4 / math.sqrt(5000)


def test_every_prior_says_whether_moments_bound_its_marginal_kl():
    pair = jnp.ones((2, 1, LATENTS), jnp.float32)
    for prior in PRIORS:
        standard = autoencoder_of(prior=prior).standardize(random_model(prior), *pair)
        assert (standard is not None) == (prior in ("standard", "diagonal"))


def test_vamp_is_the_mean_of_the_posteriors_of_its_inputs():
    autoencoder = autoencoder_of(prior="vamp")
    model, z = autoencoder.build(key_of(0)), jnp.zeros((1, LATENTS), jnp.float32)
    posterior = autoencoder.encode(model, model.prior.inputs[...])
    mean, scale = np.asarray(posterior.mean, float), np.exp(np.asarray(posterior.log_scale, float))
    expected = np.log(np.mean(stats.norm(mean, scale).pdf(np.asarray(z)).prod(1)))
    assert float(autoencoder.log_prior(model, z)[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("decoder", ["mlp", "made"])
def test_the_density_of_standardised_data_is_that_of_the_data(decoder):
    """The networks see x with spread 1; log p and draws are those of spread * x."""
    settings = settings_of("mlp", decoder, likelihood="gaussian", likelihood_scale=0.5)
    spread = np.logspace(-2, 2, DIMENSIONS).astype(np.float32)
    plain, own = (Autoencoder(settings, (DIMENSIONS,), units) for units in (None, spread))
    model, x = plain.build(key_of(0)), pixels()
    z = jax.random.normal(key_of(1), (IMAGES, LATENTS), jnp.float32)
    outputs = model.decoder(z, x) if decoder == "made" else model.decoder(z)
    outputs += z @ model.skip.decoder + model.skip.bias
    expected = stats.norm(spread * np.asarray(outputs, float), 0.5).logpdf(spread * np.asarray(x))
    np.testing.assert_allclose(own.log_likelihood(model, x, z), expected.sum(1), rtol=1e-5)
    if decoder == "made":
        many = jnp.tile(z[:1], (2000, 1))
        draws = np.asarray(jax.jit(own.decode)(model, many, key_of(2)))
        first = draws[:, 0] * spread[0]  # in the units of the data
        assert first.std() == pytest.approx(0.5, rel=0.1)
