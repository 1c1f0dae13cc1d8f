"""Selection on held-out images, by a model that memorises what it is trained on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion.datasets import Dataset
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.outcomes import Outcome, outcomes
from ratedistortion.engine.plan import Plan, RunId, Sweep
from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.settings import Settings
from ratedistortion.training.held_out import count_held_out
from ratedistortion.training.run import Run
from ratedistortion.training.state import DataShape, SweptParameters, TrainState, selected

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

IMAGES = np.random.default_rng(0).integers(0, 2, (40, 12)).astype(np.uint8)


@functools.cache
def memorising_run():
    """Long enough to memorise 36 images of pure noise; compiled once."""
    settings = Settings(
        dataset="made", latents=4, hidden=(64,), batch_size=12, steps=600, select="best"
    )
    run = Run(settings, Autoencoder(settings, (12,)), DataShape(40, 1.0, False))
    # Compiling takes longer than running: leave out LLVM's optimisation.
    options = {"xla_backend_optimization_level": 0}
    start = jax.jit(run.start, compiler_options=options)
    return start, jax.jit(run.advance, compiler_options=options)


def memorised(images: np.ndarray) -> TrainState:
    start, advance = memorising_run()
    zero = jnp.float32(0)
    arguments = SweptParameters(jnp.float32(0.1), jnp.float32(0.01), jnp.int32(0), zero)
    state = start(arguments)
    for first, last in ((0, 100), (100, 600)):
        state = advance(state, arguments, jnp.asarray(images), np.int32(first), np.int32(last))
    return state


def trained(model: Model) -> list[jax.Array]:
    """Its parameters, without the centre and the open latents, which are not trained."""
    return jax.tree.leaves(model._replace(skip=model.skip[2:]))


@pytest.fixture(scope="module")
def best() -> TrainState:
    return memorised(IMAGES)


def test_the_best_parameters_are_those_before_noise_is_memorised(best):
    assert 12 <= int(best.best.step) < 300 and int(best.best.step) % 12 == 0
    assert np.isfinite(best.best.loss)
    kept, last = (trained(model) for model in (selected(best), best.model))
    assert all(np.any(a != b) for a, b in zip(kept, last, strict=True))


def test_what_became_of_a_run_names_the_step_that_was_kept(best):
    several = jax.tree.map(lambda leaf: leaf[None], best)
    run = RunId(beta=0.1, seed=0)
    expected = Outcome(0.1, None, None, int(best.best.step))
    assert outcomes([run], several) == {run: expected}


def test_a_tenth_is_held_out_and_never_trained_on(best):
    assert [count_held_out(n) for n in (5, 40, 60_000, 10**6)] == [1, 4, 5000, 5000]
    changed = IMAGES.copy()
    changed[-4:] = 1 - changed[-4:]
    other = memorised(changed)
    for a, b in zip(jax.tree.leaves(best.model), jax.tree.leaves(other.model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert best.best.loss != other.best.loss


def test_a_validation_split_behind_the_training_images_is_held_out():
    settings = Settings(dataset="made", batch_size=12, epochs=3, select="best")
    for held_out, steps in ((0, 3 * (36 // 12)), (7, 3 * (33 // 12)), (16, 3 * (24 // 12))):
        shape = DataShape(40, 1.0, False, held_out)
        assert Run(settings, Autoencoder(settings, (12,)), shape).steps == steps


def test_images_that_are_held_out_have_no_part_in_the_start():
    """With other images held out, the engine's first parameters are the same."""
    settings = Settings(dataset="made", batch_size=6, steps=10, select="best", latents=3)
    starts = []
    for images in (IMAGES, np.concatenate([IMAGES[:36], 1 - IMAGES[36:]])):
        splits = {"train": images, "test": images[:4]}
        data = Dataset("made", images, splits, (12,), 1.0, False, "", None, "")
        engine = Engine(Sweep(settings, data, Plan("map", 1, 1, 1)), jax.devices())
        starts.append(next(iter(engine.train(engine.sweep.runs[:1]))).state.model)
    for a, b in zip(*map(jax.tree.leaves, starts), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.any(starts[0].skip.centre)


def test_holding_out_must_leave_a_batch():
    settings = Settings(dataset="made", batch_size=39, select="best")
    with pytest.raises(SettingsError, match="holds out 4 of 40 images"):
        Run(settings, Autoencoder(settings, (12,)), DataShape(40, 1.0, False))
