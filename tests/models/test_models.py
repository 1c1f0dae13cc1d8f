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
from ratedistortion.models.autoencoder import Functions, Model, Posterior, make_functions
from ratedistortion.models.decoders import DECODERS
from ratedistortion.models.encoders import ENCODERS
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.models.priors import PRIORS
from ratedistortion.settings import Settings

# An image of six pixels, hidden layers as wide: few shapes, so that little is compiled.
SHAPE, LATENTS, IMAGES = (2, 3, 1), 3, 4
DIMENSIONS = 6
# Shapes, dtypes and agreement to four digits do not need the fastest code.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
ALL = list(itertools.product(ENCODERS, DECODERS, PRIORS, LIKELIHOODS))
FAMILIES = [list(family) for family in (ENCODERS, DECODERS, PRIORS, LIKELIHOODS)]
# A quarter of all, in which any three members meet.
SOME = [
    names
    for names in ALL
    if sum(family.index(name) for family, name in zip(FAMILIES, names, strict=True)) % 4 == 0
]
# An encoder meets the prior in the rate, a decoder the likelihood in the distortion: every such
# pair is computed, the others are traced.
MODELS = [n for n in ALL if n[1::2] == ("mlp", "bernoulli") or n[0::2] == ("mlp", "standard")]


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


def functions_of(*names, **values):
    return make_functions(settings_of(*names, **values), SHAPE)


def key_of(number: int) -> jax.Array:
    return jax.random.key(number, impl="threefry2x32")


def pixels() -> jax.Array:
    return jax.random.bernoulli(key_of(1), 0.4, (IMAGES, DIMENSIONS)).astype(jnp.float32)


def everything(functions: Functions, model, x, noise):
    """The loss, and all that a model can do."""
    posterior = functions.encode(model, x)
    z = functions.draw(model, posterior, noise)
    outputs = {
        "mean": posterior.mean,
        "log_scale": posterior.log_scale,
        "z": z,
        "log_posterior": functions.log_posterior(model, posterior, z),
        "rate": functions.rate(model, posterior, noise, z),
        "log_likelihood": functions.log_likelihood(model, x, z),
        "decoded": functions.decode(model, z, key_of(5)),
        "log_prior": functions.log_prior(model, z),
        "samples": functions.sample_prior(model, key_of(2), 7),
    }
    return jnp.mean(outputs["rate"] - outputs["log_likelihood"]), outputs


def refused(names) -> bool:
    """Whether the families do not go together, which must take one line to say."""
    try:
        jax.eval_shape(functions_of(*names).build, key_of(0))
    except SettingsError as error:
        assert "\n" not in str(error)
        return True
    return False


@pytest.mark.parametrize("names", MODELS, ids="-".join)
def test_the_contract_of_every_model(names):
    if refused(names):
        assert names[:3:2] == ("iaf", "vamp")
        return
    functions = functions_of(*names)
    x, noise = pixels(), jax.random.normal(key_of(3), (IMAGES, LATENTS), jnp.float32)
    model = quick_jit(functions.build)(key_of(4))
    gradient, outputs = quick_jit(
        jax.grad(lambda m: everything(functions, m, x, noise), has_aux=True)
    )(model)

    assert {name: value.shape for name, value in outputs.items()} == {
        "mean": (IMAGES, LATENTS),
        "log_scale": (IMAGES, LATENTS),
        "z": (IMAGES, LATENTS),
        "log_posterior": (IMAGES,),
        "rate": (IMAGES,),
        "log_likelihood": (IMAGES,),
        "decoded": (IMAGES, DIMENSIONS),
        "log_prior": (IMAGES,),
        "samples": (7, LATENTS),
    }
    for leaf in jax.tree.leaves((model, outputs, gradient)):
        assert leaf.dtype == jnp.float32
        assert np.isfinite(leaf).all()
    assert jax.tree.structure(gradient) == jax.tree.structure(model)
    # Everything that is learnt has a say in the loss.
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    # A draw has the density that its noise gave it.
    log_q = -0.5 * (noise**2 + math.log(2 * math.pi)).sum(1) - outputs["log_scale"].sum(1)
    np.testing.assert_allclose(outputs["log_posterior"], log_q, atol=1e-4)
    one_draw = names[2] not in ("standard", "diagonal") or not functions.gaussian(model)
    if one_draw:
        np.testing.assert_allclose(outputs["rate"], log_q - outputs["log_prior"], atol=1e-4)
    else:
        assert (np.asarray(outputs["rate"]) >= 0).all()

    # Many at once are each of them alone: same key, same parameters, same outputs.
    keys = jax.vmap(key_of)(jnp.array([4, 5]))
    models = quick_jit(jax.vmap(functions.build))(keys)
    for one, two in zip(jax.tree.leaves(model), jax.tree.leaves(models), strict=True):
        np.testing.assert_allclose(two[0], one, rtol=1e-6)
    kernels = [leaf for leaf in jax.tree.leaves(models) if np.ptp(leaf[0]) > 0]
    assert kernels and all(np.any(leaf[0] != leaf[1]) for leaf in kernels)
    _, many = quick_jit(jax.vmap(lambda m: everything(functions, m, x, noise)))(models)
    for name, value in outputs.items():
        np.testing.assert_allclose(many[name][0], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("names", SOME, ids="-".join)
def test_every_model_is_made_without_computing(names):
    if refused(names):
        return
    functions = functions_of(*names)
    shapes = jax.eval_shape(functions.build, key_of(0))
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(shapes))
    x, noise = pixels(), jnp.zeros((IMAGES, LATENTS), jnp.float32)
    loss, _ = jax.eval_shape(lambda model: everything(functions, model, x, noise), shapes)
    assert loss.shape == ()


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
    model = jax.eval_shape(functions_of(hidden=(5, 4)).build, key_of(0))
    encoder = [leaf.shape for leaf in jax.tree.leaves(model.encoder) if leaf.ndim == 2]
    decoder = [leaf.shape for leaf in jax.tree.leaves(model.decoder) if leaf.ndim == 2]
    assert encoder == [(6, 5), (5, 4), (4, 6)]
    assert decoder == [(3, 4), (4, 5), (5, 6)]


def test_a_linear_encoder_has_one_log_scale_and_an_affine_mean():
    functions = functions_of("linear")
    model = functions.build(key_of(0))
    scales = [leaf for leaf in jax.tree.leaves(model.encoder) if leaf.shape == (LATENTS,)]
    assert len(scales) == 2  # the bias of the mean, and the log scale
    x = jax.random.normal(key_of(1), (5, DIMENSIONS), jnp.float32)
    mean, log_scale, _ = functions.encode(model, x)
    assert (np.asarray(log_scale) == np.asarray(log_scale)[:1]).all()
    kernel, bias = np.asarray(mean)[:3] - np.asarray(mean)[3], np.asarray(mean)[3]
    assert np.linalg.matrix_rank(kernel) == 3 and bias.shape == (LATENTS,)
    both, zero = functions.encode(model, x[:1] + x[1:2]).mean, functions.encode(model, 0 * x).mean
    np.testing.assert_allclose(both + zero[:1], mean[:1] + mean[1:2], atol=1e-5)


def test_bernoulli_is_scipy_s():
    likelihood = LIKELIHOODS["bernoulli"](settings_of())
    logits = np.linspace(-30, 30, 24, dtype=np.float32).reshape(4, 6)
    x = np.asarray(pixels())
    probabilities = 1 / (1 + np.exp(-logits.astype(float)))
    np.testing.assert_allclose(
        likelihood.mean(jnp.asarray(logits)[..., None]), probabilities, rtol=1e-5
    )
    moderate = logits / 5  # where the probability is not rounded to 1
    expected = stats.bernoulli(1 / (1 + np.exp(-moderate.astype(float)))).logpmf(x).sum(1)
    measured = likelihood.log_density(jnp.asarray(x), jnp.asarray(moderate)[..., None])
    np.testing.assert_allclose(measured, expected, rtol=1e-6)


def test_bernoulli_with_sure_logits_neither_overflows_nor_rounds_to_zero():
    likelihood = LIKELIHOODS["bernoulli"](settings_of())
    logits = jnp.array([[1e4], [-1e4], [90.0]], jnp.float32)
    x = jnp.array([[0.0], [1.0], [1.0]], jnp.float32)
    # log sigmoid(90) = -e^-90, from its Taylor series; 1e4 nats for the two that are wrong.
    measured = np.asarray(likelihood.log_density(x, logits[..., None]))
    np.testing.assert_allclose(measured, [-1e4, -1e4, 0], atol=1e-4)


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
        functions = functions_of(likelihood="gaussian", likelihood_scale=scale)
        model, z = functions.build(key_of(0)), jnp.zeros((IMAGES, LATENTS), jnp.float32)
        error = ((pixels() - functions.decode(model, z, key_of(1))) ** 2).sum(1)
        expected = -error / (2 * scale**2) - DIMENSIONS * math.log(scale * math.sqrt(2 * math.pi))
        measured = functions.log_likelihood(model, pixels(), z)
        np.testing.assert_allclose(measured, expected, rtol=1e-5)
        values.append(measured)
    assert np.all(values[0] != values[1])


def rate_of(prior: str, mean: jax.Array, log_scale: jax.Array, noise: jax.Array) -> np.ndarray:
    """KL(q || p), or its one-draw estimate, under a prior with parameters that are random."""
    functions, model = functions_of(prior=prior), random_model(prior)
    posterior = Posterior(mean, log_scale)
    return np.asarray(
        functions.rate(model, posterior, noise, functions.draw(model, posterior, noise))
    )


def random_model(prior: str) -> Model:
    """A model whose prior's parameters are not those of the start."""
    model = functions_of(prior=prior).build(key_of(0))
    leaves, structure = jax.tree.flatten(model.prior)
    keys = jax.random.split(key_of(6), max(len(leaves), 1))
    moved = [
        leaf + 0.5 * jax.random.normal(key, leaf.shape, jnp.float32)
        for leaf, key in zip(leaves, keys, strict=False)
    ]
    return model._replace(prior=jax.tree.unflatten(structure, moved))


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
    log_p = functions_of(prior=prior).log_prior(random_model(prior), jnp.asarray(z))
    terms = log_q - np.asarray(log_p)
    pair = (jnp.asarray(np.repeat(part, count, 0)) for part in (mean, log_scale))
    rate = rate_of(prior, *pair, jnp.asarray(noise)).mean()
    assert abs(terms.mean() - rate) < 4 * terms.std() / math.sqrt(count)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_density_of_every_prior_integrates_to_one(prior):
    """On a grid in two dimensions, in float64."""
    functions = functions_of(prior=prior, latents=2)
    model = functions.build(key_of(3))
    axis = np.linspace(-12, 12, 401)
    with jax.enable_x64(True):
        grid = jnp.asarray(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))
        density = np.exp(np.asarray(functions.log_prior(model, grid)))
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_draws_of_every_prior_have_its_density(prior):
    """Mean log density of draws against that of the density's own grid, and the moments."""
    functions = functions_of(prior=prior, latents=2)
    model = functions.build(key_of(3))
    axis = np.linspace(-12, 12, 401)
    with jax.enable_x64(True):
        grid = jnp.asarray(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))
        log_density = np.asarray(functions.log_prior(model, grid))
    weight = np.exp(log_density) / np.exp(log_density).sum()
    draws = functions.sample_prior(model, key_of(9), 4000)
    for values, truths in (
        (np.asarray(functions.log_prior(model, draws)), log_density),
        *zip(np.asarray(draws).T, np.asarray(grid).T, strict=True),
        *zip(np.asarray(draws).T ** 2, np.asarray(grid).T ** 2, strict=True),
    ):
        error = values.std() / math.sqrt(len(values))
        assert abs(values.mean() - weight @ truths) < 4 * error


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
        standard = functions_of(prior=prior).standardize(random_model(prior), *pair)
        assert (standard is not None) == (prior in ("standard", "diagonal"))


def test_vamp_is_the_mean_of_the_posteriors_of_its_inputs():
    functions = functions_of(prior="vamp")
    model, z = functions.build(key_of(0)), jnp.zeros((1, LATENTS), jnp.float32)
    posterior = functions.encode(model, model.prior.inputs[...])
    mean, scale = np.asarray(posterior.mean, float), np.exp(np.asarray(posterior.log_scale, float))
    expected = np.log(np.mean(stats.norm(mean, scale).pdf(np.asarray(z)).prod(1)))
    assert float(functions.log_prior(model, z)[0]) == pytest.approx(expected, rel=1e-5)
