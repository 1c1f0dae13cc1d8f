"""Runs start at the optimum of the linear beta-VAE; linear-Gaussian ones stay there."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import datasets
from ratedistortion.datasets.principal import principal_components
from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.settings import Settings
from ratedistortion.theory import linear_gaussian_optimum
from ratedistortion.theory.gaussian import gaussian_distortion
from ratedistortion.training.objective import make_loss
from ratedistortion.training.run import Run
from ratedistortion.training.state import DataShape, SweptParameters, TrainState

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

QUICKLY = {"xla_backend_optimization_level": 0}  # compiling takes longer than running
BETAS = (0.05, 0.5, 1.0, 3.0, 10.0)
LINEAR = {"encoder": "linear", "decoder": "linear", "likelihood": "gaussian", "betas": BETAS}


class Started(NamedTuple):
    """The runs of some settings, before their first step."""

    autoencoder: Autoencoder
    data: datasets.Dataset
    run: Run
    loss: Any
    arguments: SweptParameters
    state: TrainState

    def after_training(self) -> TrainState:
        def advanced(state: TrainState, arguments: SweptParameters, images: Any) -> TrainState:
            last = jnp.int32(self.run.steps)
            return self.run.advance(state, arguments, images, jnp.int32(0), last)

        trained = jax.jit(jax.vmap(advanced, (0, 0, None)), compiler_options=QUICKLY)
        return trained(self.state, self.arguments, jnp.asarray(self.data.train))


def start(**values: Any) -> Started:
    settings = Settings(**{"steps": 300} | values)
    data = datasets.load(settings)
    autoencoder = Autoencoder(settings, data.shape, data.spread)
    shape = DataShape(len(data.train), data.scale, data.dynamic, data.held_out)
    run = Run(settings, autoencoder, shape)
    principal = None
    if settings.start == "linear":
        components = principal_components(data, run.examples, autoencoder.latents)
        principal = jax.tree.map(jnp.asarray, components)
    targets = settings.target_rates or (0.0,) * len(settings.betas)
    betas = (1.0,) * len(targets) if settings.target_rates else settings.betas
    arguments = SweptParameters(
        jnp.array(betas, jnp.float32),
        jnp.full(len(betas), settings.learning_rate, jnp.float32),
        jnp.zeros(len(betas), jnp.int32),
        jnp.array(targets, jnp.float32),
    )
    begun = jax.jit(jax.vmap(run.start, (0, None)), compiler_options=QUICKLY)
    state = begun(arguments, principal)
    return Started(
        autoencoder, data, run, make_loss(settings, autoencoder, shape), arguments, state
    )


def model_of(state: TrainState, n: int) -> Model:
    return jax.tree.map(lambda leaf: leaf[n], state.model)


def rate_and_distortion(started: Started, model: Model, scale: float) -> tuple[float, float]:
    """R and D of a linear model over all images, without noise: E over z is a closed form."""
    autoencoder, data = started.autoencoder, started.data
    x = jnp.asarray(data.train, jnp.float32) * data.scale
    spread = np.ones(x.shape[1]) if data.spread is None else data.spread.astype(float)
    posterior = autoencoder.encode(model, x)
    rates = autoencoder.latent_rates(model, posterior)
    assert rates is not None

    def decoded(z: Any) -> np.ndarray:
        return np.asarray(autoencoder.decode(model, z, jax.random.key(0)), float) * spread

    units = jnp.eye(autoencoder.latents, dtype=jnp.float32)
    weights = decoded(units) - decoded(0 * units)
    missed = (np.asarray(x, float) * spread - decoded(posterior.mean)) ** 2
    blurred = np.exp(2 * np.asarray(posterior.log_scale, float)) @ (weights**2).sum(1)
    mse = float(np.mean(missed.sum(1) + blurred))
    rate = float(np.mean(np.asarray(rates, float).sum(1)))
    return rate, gaussian_distortion(mse, x.shape[1], scale)


@pytest.fixture(scope="module", params=["one unit", "units far apart"])
def linear(request, tmp_path_factory) -> tuple[Started, float, np.ndarray]:
    """A linear sweep, the likelihood's scale and the eigenvalues of the training images."""
    if request.param == "one unit":
        scale, values = 0.5, {"dataset": "gaussian:4,1,0.25,0.05"}
    else:
        random = np.random.default_rng(0)
        mixed = random.normal(size=(3000, 4)) @ random.normal(size=(4, 4))
        path = tmp_path_factory.mktemp("vectors") / "vectors.npz"
        vectors = (mixed * [1e-2, 1.0, 5.0, 100.0] + 7).astype(np.float32)
        np.savez(path, train=vectors, test=vectors[:50])
        scale, values = 2.0, {"dataset": str(path)}
    started = start(**LINEAR, likelihood_scale=scale, max_examples=3000, **values)
    assert (started.data.spread is None) == (request.param == "one unit")
    images = started.data.in_own_units(started.data.train * started.data.scale)
    return started, scale, np.linalg.eigvalsh(np.cov(images.T.astype(float), bias=True))


def test_a_linear_gaussian_sweep_starts_at_its_optimum(linear):
    started, scale, variances = linear
    for n, beta in enumerate(BETAS):
        best = linear_gaussian_optimum(variances, scale, beta)
        rate, distortion = rate_and_distortion(started, model_of(started.state, n), scale)
        assert rate == pytest.approx(best.rate, rel=1e-4, abs=1e-5)
        assert distortion == pytest.approx(best.distortion, rel=1e-4)


def test_a_linear_gaussian_sweep_stays_at_its_optimum(linear):
    """D + beta R is flat there: steps that are noisy move R and D more than their sum."""
    started, scale, variances = linear
    state = started.after_training()
    assert (state.diverged_at < 0).all()
    for n, beta in enumerate(BETAS):
        best = linear_gaussian_optimum(variances, scale, beta)
        rate, distortion = rate_and_distortion(started, model_of(state, n), scale)
        loss, least = distortion + beta * rate, best.distortion + beta * best.rate
        assert least - 1e-3 < loss < least + 0.05
        assert rate == pytest.approx(best.rate, abs=0.1)


def test_target_rates_are_met_at_the_start():
    targets = (0.0, 0.5, 2.0, 6.0)
    values = LINEAR | {"dataset": "gaussian:4,1,0.25", "likelihood_scale": 0.5}
    del values["betas"]
    started = start(**values, target_rates=targets, max_examples=3000)
    variances = np.linalg.eigvalsh(np.cov(started.data.train.T.astype(float), bias=True))
    for n, target in enumerate(targets):
        rate, distortion = rate_and_distortion(started, model_of(started.state, n), 0.5)
        assert rate == pytest.approx(target, rel=1e-4, abs=1e-5)
        beta = float(jnp.exp(started.state.log_beta[n]))
        best = linear_gaussian_optimum(variances, 0.5, beta)
        assert (rate, distortion) == pytest.approx((best.rate, best.distortion), rel=1e-4, abs=1e-5)


def test_a_short_run_keeps_to_its_target_rate():
    """From this start, log beta moves so little that it cannot swing away."""
    targets = (10.0, 20.0, 30.0)
    started = start(dataset="digits", hidden=(32,), target_rates=targets, steps=80)
    state = started.after_training()
    images = jnp.asarray(started.data.train)
    for n, target in enumerate(targets):
        model = model_of(state, n)
        rate = started.loss(model, images, jax.random.key(1), lambda rate: rate)[1][1]
        assert float(rate) == pytest.approx(target, rel=0.05)


@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "gaussian", "discretized-logistic", "categorical"]
)
def test_the_loss_at_the_start_is_lower_than_that_of_a_random_start(likelihood):
    """D + beta R of 400 digits, with networks beside the linear maps."""
    values = {"likelihood": likelihood, "likelihood_scale": 0.25, "levels": 17, "hidden": (32,)}
    values |= {"betas": (0.01, 0.3, 1.0, 4.0), "max_examples": 400}
    losses = {}
    for name in ("linear", "random"):
        started = start(dataset="digits", start=name, **values)

        def loss(model, beta, images, started=started):
            return started.loss(model, images, jax.random.key(1), lambda rate: beta * rate)[0]

        of_all = jax.jit(jax.vmap(loss, (0, 0, None)), compiler_options=QUICKLY)
        images = jnp.asarray(started.data.train)
        losses[name] = np.asarray(of_all(started.state.model, started.arguments.beta, images))
    assert (losses["linear"] < losses["random"]).all()


def test_shut_latents_stay_shut_and_the_decoder_does_not_see_them():
    """After training at a beta for which the linear optimum uses fewer than 32 of 40 latents."""
    started = start(dataset="digits", hidden=(16,), latents=40, betas=(1.0,), steps=60,
                    learning_rate=0.01)  # fmt: skip
    state, autoencoder = started.after_training(), started.autoencoder
    before, model = model_of(started.state, 0), model_of(state, 0)
    is_open = np.asarray(model.skip.open)[0]
    assert is_open.tolist() == [1] * 32 + [0] * 8
    for name in ("open", "centre"):
        np.testing.assert_array_equal(getattr(model.skip, name), getattr(before.skip, name))
    assert np.any(model.skip.encoder != before.skip.encoder)
    x = jax.random.uniform(jax.random.key(0), (50, 64), jnp.float32)
    posterior = autoencoder.encode(model, x)
    assert (posterior.mean[:, 32:] == 0).all() and (posterior.log_scale[:, 32:] == 0).all()
    # Latents that the linear optimum does not use, but that are open, are used by networks.
    unused = ~np.any(before.skip.encoder, axis=0)[:32]
    assert unused.sum() > 5
    assert (np.asarray(posterior.mean).std(0)[:32] > 0).all()
    z = jax.random.normal(jax.random.key(1), (50, 40), jnp.float32)
    for places, seen in ((slice(32, 40), False), (slice(31, 32), True)):
        other = z.at[:, places].add(3.0)
        same = autoencoder.log_likelihood(model, x, z) == autoencoder.log_likelihood(
            model, x, other
        )
        assert (not same.any()) if seen else same.all()
