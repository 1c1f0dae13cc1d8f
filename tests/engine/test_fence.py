"""The programs that measure, as the engine compiles them, against NumPy: two devices, float64.

XLA's CPU compiler in JAX 0.11.1 and 0.11.2 counted half of -log sigma in R, where the same
expression alone, on one device or with other sizes, was right.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import datasets
from ratedistortion.engine.engine import Engine, MeasuredRun
from ratedistortion.engine.plan import Plan, Sweep
from ratedistortion.measuring.information import terms_of_bounds
from ratedistortion.models.autoencoder import Model, Posterior
from ratedistortion.settings import Settings
from ratedistortion.training.state import selected
from ratedistortion.verify import recompute

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute


def posteriors(images: int, latents: int) -> np.ndarray:
    """Means and log scales of posteriors from 1e-12 to 10 wide, half of them near another one."""
    random = np.random.default_rng([images, latents])
    log_scale = np.log(10) * random.uniform(-12, 1, (images, latents))
    # Most of the latents of a few posteriors in ten are as wide as those of trained models.
    tame = random.random((images, 1)) < 0.3
    log_scale = np.where(tame, random.uniform(-3, 0, log_scale.shape), log_scale)
    mean = random.normal(size=(images, latents))
    pairs = slice(0, images // 2, 2)
    others = slice(1, images // 2 + 1, 2)
    size = len(mean[pairs])
    log_scale[others][:size] = log_scale[pairs]
    apart = random.uniform(0, 2, (size, 1)) / np.sqrt(latents)
    mean[others][:size] = mean[pairs] + apart * np.exp(log_scale[pairs])
    return np.concatenate([mean, log_scale], axis=1).astype(np.float32)


def engine_of(folder, sizes: tuple[int, int], latents: int, batching: str, **values) -> Engine:
    """Two runs on two devices whose posteriors are the data themselves."""
    train, test = (posteriors(images, latents) for images in sizes)
    np.savez(folder / "posteriors.npz", train=train, test=test)
    settings = Settings(
        dataset=str(folder / "posteriors.npz"),
        likelihood="gaussian",
        scale="none",
        latents=latents,
        hidden=(6,),
        components=5,
        betas=(0.5, 1.0),
        batch_size=100,
        **values,
    )
    plan = Plan(batching, 2, 2, 1)
    return Engine(Sweep(settings, datasets.load(settings), plan), jax.local_devices())


def moved(prior):
    """A prior that is not where training begins."""

    def one(leaf):
        wave = 0.3 * np.cos(np.arange(leaf.size)).reshape(leaf.shape)
        return jax.device_put(np.asarray(leaf) + wave.astype(leaf.dtype), leaf.sharding)

    return jax.tree.map(one, prior)


def measured(engine: Engine) -> list[tuple[Model, MeasuredRun]]:
    """Both runs on both splits, each with its parameters."""
    runs = engine.sweep.runs
    jax.config.update("jax_disable_most_optimizations", True)  # for the start, not for measuring
    state = next(iter(engine.train(runs))).state
    jax.config.update("jax_disable_most_optimizations", False)
    state = state._replace(model=state.model._replace(prior=moved(state.model.prior)))
    models = [
        jax.tree.map(lambda leaf, n=n: jnp.asarray(np.asarray(leaf)[n]), selected(state))
        for n in range(2)
    ]
    return [(models[runs.index(m.run)], m) for m in engine.measure(runs, selected(state))]


# Where both splits have as many images, one compiled program measures both.
CASES = [
    ((1000, 150), 32, "map", "standard"),
    ((150, 150), 64, "map", "standard"),
    ((300, 300), 24, "vmap", "diagonal"),
    ((300, 300), 32, "map", "mixture"),
    ((300, 300), 24, "map", "maf"),
]


@pytest.mark.parametrize("sizes, latents, batching, prior", CASES)
def test_what_is_measured_of_gaussian_posteriors_is_numpy_s(
    tmp_path, sizes, latents, batching, prior
):
    engine = engine_of(tmp_path, sizes, latents, batching, prior=prior)

    def encode(model, x):
        return Posterior(x[:, :latents], x[:, latents:])

    engine.autoencoder.encode = encode  # the posteriors are the data themselves
    for model, one in measured(engine):
        images = engine.sweep.data.splits[one.split].astype(float)
        codes = one.codes._replace(scale=np.exp(images[:, latents:]))

        def log_prior(z, model=model):
            with jax.enable_x64(True):
                return np.asarray(engine.autoencoder.log_prior(model, jnp.asarray(z)))

        gaussian = None
        if prior in ("standard", "diagonal"):
            gaussian = np.zeros(latents), np.ones(latents)
        if prior == "diagonal":
            mean, log_scale = (
                np.asarray(x[...], float)[0] for x in (model.prior.mean, model.prior.log_scale)
            )
            gaussian = mean, np.exp(log_scale)
        np.testing.assert_array_equal(one.codes.mean, images[:, :latents])
        rates = recompute.rates(codes, log_prior, gaussian)
        np.testing.assert_allclose(one.codes.rate, rates, rtol=1e-9, atol=1e-9)
        truths = recompute.information(
            codes,
            log_prior,
            gaussian,
            *terms_of_bounds(len(codes.chosen), True, codes.mean.shape[1]),
        )
        for name, truth in truths.items():
            got = np.ravel(one.measurement.by_name()[name])
            # Shares of the mixture are float32, as are the terms of the lower bound.
            np.testing.assert_allclose(
                got, truth[: len(got)], rtol=1e-6, atol=2e-5, err_msg=f"{name}, {one.split}"
            )
        assert 1 < truths["mutual_information"][0] < np.log(len(images)) - 0.05


def test_the_rate_of_posteriors_that_are_flows_is_that_of_their_operations_one_by_one(tmp_path):
    engine = engine_of(tmp_path, (300, 300), 8, "map", encoder="iaf", prior="mixture")
    for model, one in measured(engine):
        x = jnp.asarray(engine.sweep.data.splits[one.split])
        with jax.enable_x64(True):
            wide = jax.tree.map(
                lambda leaf: leaf.astype(jnp.float64), engine.autoencoder.encode(model, x)
            )
            noise = jnp.asarray(one.codes.noise, jnp.float64)
            z = engine.autoencoder.draw(model, wide, noise)
            log_prior = np.asarray(engine.autoencoder.log_prior(model, z))
        log_scale = np.asarray(wide.log_scale)
        log_q = -np.sum(0.5 * np.asarray(noise) ** 2 + log_scale + np.log(2 * np.pi) / 2, axis=1)
        # The encoder's own products are float32, and compiled to other sums.
        np.testing.assert_allclose(one.codes.rate, log_q - log_prior, rtol=1e-4, atol=1e-3)
