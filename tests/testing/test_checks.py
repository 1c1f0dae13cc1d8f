"""Checks of members find what is wrong, and say it in one sentence; ours pass in tests/models."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.scipy.special import gammaln

from ratedistortion.models.interfaces import Posterior
from ratedistortion.models.likelihoods import Likelihood, LinearOutputs
from ratedistortion.settings import Settings
from ratedistortion.testing import check_decoder, check_encoder, check_likelihood, check_prior

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

SHAPE = (4,)


@pytest.fixture(scope="module", autouse=True)
def compiled_quickly() -> Iterator[None]:
    """XLA takes less time, to make slower code."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def finds(check, build, words, *arguments):
    with pytest.raises(AssertionError) as error:
        check(build, *arguments)
    text = str(error.value)
    assert words in text and "\n" not in text, text


class Encoder(nnx.Module):
    """An affine encoder with one fault, or none."""

    gaussian = True

    def __init__(self, key, latents, fault):
        if fault == "same start":
            key = jax.random.key(1)
        self.fault = fault
        self.map = nnx.Linear(4, 2 * latents, rngs=nnx.Rngs(key))
        self.unused = nnx.Param(jnp.zeros(1, jnp.float32)) if fault == "unused" else None

    def __call__(self, x):
        if self.fault == "batch":
            x = x - jnp.mean(x, axis=0, keepdims=True)
        y = self.map(x)
        if self.fault == "infinite":
            y = y + jnp.log(jnp.zeros_like(y))
        mean, log_scale = jnp.split(y, 2, axis=-1)
        return Posterior(mean, log_scale, None if self.gaussian else jnp.tanh(mean))


class Flow(Encoder):
    """Its codes are moved by a scale that x decides, or by a shift."""

    gaussian = False

    def flow(self, start, context):
        return start * jnp.exp(context) if self.fault == "volume" else start + context

    def unflow(self, z, context):
        if self.fault == "volume":
            return z * jnp.exp(-context)
        return z if self.fault == "inverse" else z - context


def encoder(fault, kind=Encoder):
    return lambda key, settings, shape: kind(key, settings.latents, fault)


@pytest.mark.parametrize("kind", [Encoder, Flow])
def test_an_encoder_without_fault_passes(kind):
    check_encoder(encoder("", kind), shape=SHAPE)


@pytest.mark.parametrize(
    "fault, kind, words",
    [
        ("same start", Encoder, "encoder: its initial parameters do not depend on the key."),
        ("unused", Encoder, "the gradient by ['encoder'].unused"),
        ("batch", Encoder, "encoder: the posterior mean of an image depends on the images beside"),
        ("infinite", Encoder, "encoder: mean must be finite numbers in float32."),
        ("inverse", Flow, "unflow does not take codes back to the draws"),
        ("volume", Flow, "encoder: flow must change no volume: its log |Jacobian"),
    ],
)
def test_an_encoder_with_a_fault_is_found(fault, kind, words):
    finds(check_encoder, encoder(fault, kind), words, None, SHAPE)


def test_what_sweeps_refuse_is_an_assertion_here_and_names_work_too(tmp_path, monkeypatch):
    finds(check_encoder, lambda *_: None, "lacks gaussian, __call__", None, SHAPE)
    (tmp_path / "net.py").write_text("from ratedistortion.models.encoders import linear\n")
    monkeypatch.chdir(tmp_path)
    check_encoder("net.py:linear", shape=SHAPE)
    finds(check_encoder, "net.py:none", "net.py has no none.", None, SHAPE)
    finds(check_encoder, "none.py:none", "there is no such file", None, SHAPE)


class Decoder(nnx.Module):
    """Every output is a weighted sum of z and of the values before it, with one fault or none."""

    autoregressive = True

    def __init__(self, key, settings, fault):
        self.fault = fault
        self.map = nnx.Linear(settings.latents, 4, rngs=nnx.Rngs(key))
        self.slope = nnx.Param(0.1 * jnp.ones((1, 1), jnp.float32))

    def __call__(self, z, x):
        seen = jnp.cumsum(x, axis=1) - (0 if self.fault == "later" else x)
        return self.map(z) + self.slope[...] * seen

    def cache(self, z):
        return self.map(z), jnp.zeros((len(z), 1), z.dtype)

    def one(self, i, x, cache):
        own, seen = cache
        now = own[:, i, None] + self.slope[...] * seen
        step = 2 if self.fault == "one" else 1
        return now, (own, seen + step * x[:, i, None])


def test_an_autoregressive_decoder_without_fault_passes_and_one_with_a_fault_is_found():
    def decoder(fault):
        return lambda key, settings, shape, outputs: Decoder(key, settings, fault)

    check_decoder(decoder(""), shape=SHAPE)
    words = "decoder: the outputs of dimension 0 depend on dimension 0: they may"
    finds(check_decoder, decoder("later"), words, None, SHAPE)
    finds(check_decoder, decoder("one"), "decoder: its method one gives other outputs", None, SHAPE)


class Prior(nnx.Module):
    """A Gaussian of learned place and scale 1, with one fault or none."""

    gaussian = True
    uses_encoder = False

    def __init__(self, latents, fault):
        self.fault = fault
        self.place = nnx.Param(jnp.zeros((1, latents), jnp.float32))

    def log_density(self, z):
        constant = 0.9 if self.fault == "constant" else 0.9189385332046727
        z = z - jnp.mean(z, axis=0, keepdims=True) if self.fault == "others" else z
        return -jnp.sum(0.5 * (z - self.place[...]) ** 2 + constant, axis=-1)

    def sample(self, key, count):
        key = jax.random.key(0) if self.fault == "key" else key
        noise = jax.random.normal(key, (count, self.place.shape[1]), jnp.float32)
        return (0 if self.fault == "draws" else self.place[...]) + noise

    def standardize(self, mean, log_scale):
        return mean + (1 if self.fault == "standardize" else -1) * self.place[...], log_scale


@pytest.mark.parametrize(
    "fault, words",
    [
        ("", None),
        ("constant", "prior: the integral of its density in two latents: got 1.03"),
        ("others", "prior: the density of a code beside other codes: got"),
        ("key", "prior: sample gives the same draws for two keys"),
        ("draws", "prior: draws do not follow its density: the mean of"),
        ("standardize", "prior: standardize does not agree with log_density: got"),
    ],
)
def test_a_gaussian_prior(fault, words):
    def build(key, settings, shape):
        return Prior(settings.latents, fault)

    if words is None:
        check_prior(build, shape=SHAPE)
    elif fault == "standardize":
        finds(check_prior, build, words, None, SHAPE)
    else:
        build_other = type("Other", (Prior,), {"gaussian": False})
        finds(check_prior, lambda key, s, shape: build_other(s.latents, fault), words, None, SHAPE)


def poisson(fault):
    def make(settings):
        def log_density(x, log_rate):
            log_rate = log_rate[..., 0]
            constant = 0 if fault == "constant" else gammaln(x + 1)
            return jnp.sum(x * log_rate - jnp.exp(log_rate) - constant, axis=-1)

        def sample(key, log_rate):
            rate = jnp.exp(log_rate[..., 0]) * (1.1 if fault == "draws" else 1)
            draws = jax.random.poisson(key, rate).astype(jnp.float32)
            return draws + (0.5 if fault == "values" else 0)

        def linear(average):
            slope = jnp.ones(2 if fault == "unused" else 1, jnp.float32)
            bias = jnp.log(average) if fault != "linear" else average
            bias = jnp.broadcast_to(bias[:, None], (len(average), len(slope)))
            return LinearOutputs(slope, bias, jnp.mean(average))

        return Likelihood(
            outputs=2 if fault == "unused" else 1,
            log_density=log_density,
            mean=lambda log_rate: jnp.exp(log_rate[..., 0]) + (1 if fault == "mean" else 0),
            sample=sample,
            linear=linear,
            least=1.0 if fault == "least" else 0.0,
        )

    return make


@pytest.mark.parametrize(
    "fault, words",
    [
        ("", None),
        ("constant", "likelihood: its density over all x in one dimension: got "),
        ("draws", "likelihood: draws do not follow log_density: 20,000 of them have a p-value of"),
        ("values", "likelihood: a draw is 0.5 away from all values."),
        ("mean", "likelihood: mean is not that of the density: got "),
        ("linear", "likelihood: mean for the bias of linear: got "),
        ("unused", "likelihood: log_density does not use all outputs."),
        ("least", "in one dimension, below its least, 1."),
    ],
)
def test_a_likelihood_of_counts(fault, words):
    values = np.arange(120)
    if words is None:
        check_likelihood(poisson(fault), values=values)
    else:
        finds(check_likelihood, poisson(fault), words, None, values)


def test_a_likelihood_of_real_numbers_with_other_draws_is_found():
    from ratedistortion.models.likelihoods import gaussian

    def make(settings):
        made = gaussian(Settings(dataset="made", likelihood_scale=0.5))
        return made._replace(sample=lambda key, mean: 1.1 * made.sample(key, mean))

    finds(check_likelihood, make, "likelihood: draws do not follow log_density")
