"""One training run: its minibatches, its steps against Optax, and what becomes of it at NaN."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats
from skips import no_skip

from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import Autoencoder, Model, Posterior
from ratedistortion.settings import Settings
from ratedistortion.training.minibatch import minibatch
from ratedistortion.training.run import Run
from ratedistortion.training.state import (
    HISTORY_POINTS,
    DataShape,
    SweptParameters,
    TrainState,
    selected,
)

# The values of these tiny runs are what counts, not how fast they are.
QUICKLY = {"xla_backend_optimization_level": 0}


def keys_of(count: int) -> jax.Array:
    return jax.vmap(lambda n: jax.random.key(n, impl="threefry2x32"))(jnp.arange(count))


def rows_of(examples: int, batch: int, keys: int, steps: int) -> np.ndarray:
    """The minibatches of the first steps of several runs: (keys, steps, batch)."""
    each_step = jax.vmap(lambda k, s: minibatch(k, s, examples, batch), (None, 0))
    each_key = jax.jit(jax.vmap(each_step, (0, None)), compiler_options=QUICKLY)
    return np.asarray(each_key(keys_of(keys), jnp.arange(steps)))


# --- Minibatches ------------------------------------------------------------------------------


@hypothesis_settings(derandomize=True, deadline=None, database=None, max_examples=2)
@given(sizes=st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
@example(sizes=(40, 40))
@example(sizes=(41, 1))
@example(sizes=(103, 10))
@example(sizes=(99, 50))
def test_an_epoch_visits_as_many_images_as_whole_batches_hold_once_each(sizes):
    examples, batch = sizes
    per_epoch = examples // batch
    rows = rows_of(examples, batch, 2, 10 * per_epoch)
    assert rows.shape == (2, 10 * per_epoch, batch)
    assert rows.min() >= 0 and rows.max() < examples
    epochs = rows.reshape(2, 10, per_epoch * batch)
    assert all(len(set(epoch)) == per_epoch * batch for key in epochs for epoch in key)
    if per_epoch > 1 and batch > 4 and per_epoch * batch > 30:
        orders = {tuple(epoch) for key in epochs for epoch in key}
        assert len(orders) == 20  # differs between epochs, and between keys
    if 10 * (examples - per_epoch * batch) < examples:
        # Less than a tenth is left out of an epoch, and so less than 1e-10 out of all ten.
        assert all(set(key.ravel()) == set(range(examples)) for key in rows)


def test_minibatches_are_uniform():
    """Chi-square over 20,000 keys; a p-value below 1e-4 would be a 4-sigma event."""
    examples, batch, keys = 53, 10, 20_000
    rows = rows_of(examples, batch, keys, 2)
    for step in range(2):
        for place in (0, batch - 1):
            counts = np.bincount(rows[:, step, place], minlength=examples)
            assert stats.chisquare(counts).pvalue > 1e-4
    # Which images are together in a batch, as often as if drawn without replacement: no pair
    # stands out by 5 sigma, neighbours in the data set least of all.
    present = np.zeros((keys, examples))
    np.put_along_axis(present, rows[:, 0], 1, axis=1)
    together = (present.T @ present)[np.triu_indices(examples, 1)]
    share = batch * (batch - 1) / (examples * (examples - 1))
    sigmas = (together / keys - share) / math.sqrt(share * (1 - share) / keys)
    assert np.abs(sigmas).max() < 5


# --- Runs whose loss is known -----------------------------------------------------------------

STEPS, BATCH, EXAMPLES = 30, 4, 22


def arguments_of(beta: float = 1.0, learning_rate: float = 0.05, seed: int = 0) -> SweptParameters:
    return SweptParameters(
        jnp.float32(beta), jnp.float32(learning_rate), jnp.int32(seed), jnp.float32(0)
    )


def made_of(rate, log_likelihood) -> Autoencoder:
    """A model of one parameter p, a vector of two, whose posteriors are N(x, I)."""

    class Made(Autoencoder):
        latents, learns_scale = 2, False

        def __init__(self) -> None:
            """Training has no need of what the settings of a real model say."""

        def build(self, key: Any) -> Model:
            return Model(jnp.array([0.5, -0.5], jnp.float32), (), (), no_skip(2, 2, 2))

        def encode(self, model: Model, x: Any) -> Posterior:
            return Posterior(x, 0 * x)

        def draw(self, model: Model, posterior: Posterior, noise: Any) -> Any:
            return posterior.mean + noise

        def rate(self, model: Model, posterior: Posterior, noise: Any, z: Any) -> Any:
            return rate(model, posterior)

        def log_likelihood(self, model: Model, x: Any, z: Any) -> Any:
            return log_likelihood(model, x, z)

    return Made()


class Trained:
    """A run, compiled once: `trained(arguments, images)` is its state after all steps."""

    def __init__(self, autoencoder: Autoencoder, dimensions=2, scale=1.0, dynamic=False, **values):
        settings = Settings(
            **{"dataset": "made", "latents": 2, "batch_size": BATCH, "steps": STEPS} | values
        )
        self.run = Run(settings, autoencoder, DataShape(EXAMPLES, scale, dynamic))
        self.start = jax.jit(self.run.start, compiler_options=QUICKLY)
        self.advance = jax.jit(self.run.advance, compiler_options=QUICKLY)

    def __call__(self, arguments: SweptParameters, images: np.ndarray, *ends: int) -> TrainState:
        state, done = self.start(arguments), 0
        for end in ends or (self.run.steps,):
            steps = np.int32(done), np.int32(end)
            state, done = self.advance(state, arguments, jnp.asarray(images), *steps), end
        return state

    def history(self, state: TrainState) -> np.ndarray:
        """D and R of every step; at most 200 steps have a row each."""
        rows = np.arange(self.run.steps) * HISTORY_POINTS // self.run.steps
        return np.asarray(state.history)[rows]


@pytest.fixture(scope="module")
def shown() -> tuple[Trained, np.ndarray]:
    """A run that shows its inputs: R is the batch as a sum of powers of 2, D the mean noise."""
    images = np.stack([2.0 ** np.arange(EXAMPLES), np.zeros(EXAMPLES)], 1, dtype=np.float32)
    autoencoder = made_of(
        rate=lambda model, posterior: posterior.mean[:, 0],
        log_likelihood=lambda model, x, z: -z[:, 1],
    )
    return Trained(autoencoder), images


def batches(trained: Trained, state: TrainState) -> list[list[int]]:
    masks = (BATCH * trained.history(state)[:, 1]).astype(int)
    return [[n for n in range(EXAMPLES) if mask >> n & 1] for mask in masks]


def test_minibatch_and_noise_depend_on_the_seed_and_the_step_alone(shown):
    trained, images = shown
    first = trained(arguments_of(), images)
    for other in (arguments_of(beta=0.0), arguments_of(beta=70.0, learning_rate=1.0)):
        np.testing.assert_array_equal(trained(other, images).history, first.history)
    second = trained(arguments_of(seed=1), images)
    assert np.all(trained.history(first)[:, 0] != trained.history(second)[:, 0])
    assert batches(trained, first) != batches(trained, second)


def test_a_step_sees_a_batch_of_distinct_images_and_fresh_noise(shown):
    trained, images = shown
    state = trained(arguments_of(), images)
    rows = batches(trained, state)
    assert all(len(batch) == BATCH for batch in rows)
    for epoch in range(STEPS // 5):  # five batches of four
        assert len(set(sum(rows[5 * epoch : 5 * epoch + 5], []))) == 20
    noise = trained.history(state)[:, 0] * math.sqrt(BATCH)
    assert len(set(noise)) == STEPS
    assert stats.kstest(noise, stats.norm().cdf).pvalue > 1e-4


def test_the_steps_are_those_of_optax(shown):
    """Adam with cosine decay on D + beta R = mean |x - p|^2 + beta |p|^2 / 2, beta rising."""
    images = np.random.default_rng(0).normal(size=(EXAMPLES, 2)).astype(np.float32)
    autoencoder = made_of(
        rate=lambda model, q: jnp.zeros_like(q.mean[:, 0]) + 0.5 * jnp.sum(model.encoder**2),
        log_likelihood=lambda model, x, z: -jnp.sum((x - model.encoder[None]) ** 2, axis=-1),
    )
    beta, learning_rate, warmup = 3.0, 0.1, 8
    arguments = arguments_of(beta, learning_rate)
    state = Trained(autoencoder, warmup=warmup)(arguments, images)

    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, STEPS))
    p = jnp.array([0.5, -0.5], jnp.float32)
    with jax.numpy_dtype_promotion("standard"):
        memory, update = optimizer.init(p), jax.jit(optimizer.update)
        trained, shown_images = shown
        for step, batch in enumerate(batches(trained, trained(arguments, shown_images))):
            weight = beta * min(1, (step + 1) / warmup)
            gradient = 2 * (p - images[batch].mean(0)) + weight * p
            updates, memory = update(gradient, memory)
            p = jnp.asarray(optax.apply_updates(p, updates))
    np.testing.assert_allclose(state.model.encoder, p, rtol=1e-4)
    assert int(state.diverged_at) == -1


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and the history of 450 steps that see all of them: D is 2, R a mean pixel."""
    images = np.random.default_rng(1).integers(0, 256, (EXAMPLES, 2)).astype(np.uint8)
    images[0] = 0, 255
    autoencoder = made_of(
        rate=lambda model, q: q.mean @ jnp.array([1.0, 10.0], jnp.float32),
        # A pixel that is neither 0 nor 1 would add to it.
        log_likelihood=lambda model, x, z: -2.0 - jnp.sum(x * (1 - x), axis=-1),
    )
    trained = Trained(autoencoder, scale=1 / 255, dynamic=True, batch_size=EXAMPLES, steps=450)
    return images / 255, np.asarray(trained(arguments_of(), images).history)


@pytest.mark.parametrize("slope, diverged_at", [(1e18, -1), (-1e20, 0)])
def test_a_gradient_whose_square_is_infinite_stops_the_run(slope, diverged_at):
    autoencoder = made_of(
        rate=lambda model, q: 0 * q.mean[:, 0],
        log_likelihood=lambda model, x, z: 0 * x[:, 0] - slope * jnp.sum(model.encoder),
    )
    images = np.zeros((EXAMPLES, 2), np.float32)
    state = Trained(autoencoder)(arguments_of(), images)
    assert int(state.diverged_at) == diverged_at
    assert np.all(np.isfinite(state.model.encoder))


def test_the_history_sums_shares_of_the_steps(drawn):
    counts = np.bincount(np.arange(450) * 200 // 450, minlength=200)
    np.testing.assert_array_equal(drawn[1][:, 0], 2 * counts)


def test_dynamic_binarisation_draws_fresh_pixels_with_the_right_mean(drawn):
    """All images are in every batch, so that the pixels alone vary; within 4 standard errors."""
    p, history = drawn
    counts, sums = history[:, 0] / 2, history[:, 1]
    mean = (p @ [1, 10]).mean()
    variance = (p * (1 - p) @ [1, 100]).sum() / EXAMPLES**2
    assert abs(sums.sum() / 450 - mean) < 4 * math.sqrt(variance / 450)
    # Fresh at every step: 200 independent normal numbers of variance 1.
    scores = (sums - counts * mean) / np.sqrt(counts * variance)
    assert scores.var() == pytest.approx(1, abs=4 * math.sqrt(2 / 200))
    assert abs(np.corrcoef(scores[1:], scores[:-1])[0, 1]) < 4 / math.sqrt(200)


@pytest.mark.parametrize(
    "values, steps", [({"epochs": 3}, 15), ({"steps": 7}, 7), ({"epochs": 2, "batch_size": 22}, 2)]
)
def test_an_epoch_has_as_many_steps_as_whole_batches(values, steps):
    settings = Settings(**{"dataset": "made", "batch_size": BATCH} | values)
    autoencoder = made_of(lambda *_: None, lambda *_: None)
    assert Run(settings, autoencoder, DataShape(EXAMPLES, 1.0, False)).steps == steps


def test_more_steps_than_can_be_counted_or_fewer_than_the_warmup_are_refused():
    autoencoder = made_of(lambda *_: None, lambda *_: None)
    shape = DataShape(EXAMPLES, 1.0, False)
    plain = {"dataset": "made", "batch_size": BATCH}
    with pytest.raises(SettingsError, match="warmup must be less than the 6,000 steps"):
        Run(Settings(**plain, steps=6000, warmup=6000), autoencoder, shape)
    with pytest.raises(SettingsError, match="epochs: a run has at most 10,000,000 steps"):
        Run(Settings(**plain, epochs=10_000_000), autoencoder, shape)


def test_without_select_the_last_parameters_are_kept(shown):
    trained, images = shown
    state = trained(arguments_of(), images)
    assert selected(state) is state.model and state.best is None and state.log_beta is None


# --- Runs of a real model ---------------------------------------------------------------------

PIXELS, RUNS = 6, 3
BINARY = np.random.default_rng(2).integers(0, 2, (EXAMPLES, PIXELS)).astype(np.float32)


class Real:
    """Three runs of one model side by side, of three seeds, compiled once."""

    def __init__(self) -> None:
        settings = Settings(
            dataset="made", hidden=(4,), latents=2, batch_size=BATCH, steps=STEPS, warmup=0
        )
        source = DataShape(EXAMPLES, 1.0, False)
        run = Run(settings, Autoencoder(settings, (PIXELS,)), source)
        advance = jax.vmap(run.advance, (0, 0, None, None, None))
        self.start = jax.jit(jax.vmap(run.start), compiler_options=QUICKLY)
        self.advance = jax.jit(advance, compiler_options=QUICKLY)

    def __call__(
        self,
        *ends: int,
        learning_rates: tuple[float, ...] = (0.01, 0.01, 0.01),
        images: np.ndarray = BINARY,
    ) -> TrainState:
        arguments = SweptParameters(
            jnp.full(RUNS, 0.3, jnp.float32),
            jnp.array(learning_rates, jnp.float32),
            jnp.arange(RUNS, dtype=jnp.int32),
            jnp.zeros(RUNS, jnp.float32),
        )
        state, done = self.start(arguments), 0
        for end in ends or (STEPS,):
            steps = np.int32(done), np.int32(end)
            state, done = self.advance(state, arguments, jnp.asarray(images), *steps), end
        return state


@pytest.fixture(scope="module")
def real() -> Real:
    return Real()


def run_of(tree: Any, n: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[n], tree)


def assert_same(one: Any, two: Any) -> None:
    """Bit for bit, leaf by leaf."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_a_block_of_steps_ends_changes_nothing(real):
    whole = real()
    assert_same(real(1, 2, 9, STEPS), whole)
    assert_same(real(STEPS, STEPS), whole)
    assert whole.diverged_at.tolist() == [-1] * RUNS


def test_a_run_gets_better(real):
    rows = np.arange(STEPS) * HISTORY_POINTS // STEPS
    loss = np.asarray(real(learning_rates=(0.1,) * RUNS).history)[:, rows] @ [1, 0.3]
    assert np.all(loss[:, -10:].mean(1) < loss[:, :10].mean(1) - 0.1)


def test_an_infinite_pixel_freezes_the_run_before_the_step_that_meets_it(real, shown):
    """The step at which an image first comes is known from the run that shows its batches."""
    trained, images = shown
    order = batches(trained, trained(arguments_of(), images))
    first = {image: n for n, batch in reversed(list(enumerate(order))) for image in batch}
    image, met = max(first.items(), key=lambda item: item[1])
    assert met > 3
    broken = BINARY.copy()
    broken[image, 0] = np.inf
    state, before = run_of(real(images=broken), 0), run_of(real(met), 0)
    assert int(state.diverged_at) == met
    assert_same(state.model, before.model)
    assert_same(state.history, before.history)


def test_a_run_that_diverges_leaves_its_neighbours_alone(real):
    mixed = real(learning_rates=(0.01, 1e30, 0.01))
    assert mixed.diverged_at.tolist() == [-1, 1, -1]
    for n in (0, 2):
        assert_same(run_of(mixed, n), run_of(real(), n))

    # One step of 1e30 is finite still; what it leads to is not, and is not followed.
    stopped = real(1, learning_rates=(0.01, 1e30, 0.01))
    assert_same(run_of(mixed.model, 1), run_of(stopped.model, 1))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run_of(mixed.model, 1)))
    assert np.isfinite(mixed.history).all()
