"""Many runs at once are each of them alone, and nothing is compiled twice."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import pytest
from jax import monitoring
from tiny_engine import BETAS, CONVOLUTIONS, STEPS, engine_of, settings_of

from ratedistortion.datasets import Dataset
from ratedistortion.engine.engine import Block, Engine, MeasuredRun, leaves
from ratedistortion.engine.outcomes import loss_curves, outcomes
from ratedistortion.engine.plan import Plan, RunId
from ratedistortion.engine.programs import Program
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.training.run import Run
from ratedistortion.training.state import DataShape, selected

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute


def trained(
    engine: Engine, runs: tuple[RunId, ...], start: Sequence[np.ndarray] | None = None
) -> Block:
    *_, last = engine.train(runs, start)
    assert last.steps == engine.steps
    return last


class Swept:
    """The three runs under one plan: two devices, four lanes, the last one padding."""

    def __init__(self, data: Dataset, batching: str, start: Sequence[np.ndarray] | None) -> None:
        self.engine = engine_of(data, Plan(batching, 2, 4, 1))
        self.runs = self.engine.sweep.runs
        self.state = trained(self.engine, self.runs, start).state

    @functools.cached_property
    def measured(self) -> list[MeasuredRun]:
        return list(self.engine.measure(self.runs, selected(self.state)))

    def of(self, beta: float, split: str) -> MeasuredRun:
        (one,) = (m for m in self.measured if (m.run.beta, m.split) == (beta, split))
        return one


@pytest.fixture(scope="module")
def mapped(data: Dataset) -> Swept:
    return Swept(data, "map", None)


@pytest.fixture(scope="module")
def vmapped(data: Dataset, mapped: Swept) -> Swept:
    first = next(mapped.engine.train(mapped.runs))
    return Swept(data, "vmap", leaves(first.state))


@pytest.fixture(scope="module")
def single(data: Dataset) -> tuple[Any, MeasuredRun]:
    """A grid of one, on one device."""
    engine = engine_of(data, Plan("map", 1, 1, 1), betas=BETAS[1:2])
    state = trained(engine, (RunId(1.0, 0),)).state
    return state, next(engine.measure((RunId(1.0, 0),), selected(state)))


def lane(state: Any, n: int) -> list[np.ndarray]:
    return [np.asarray(leaf[n]) for leaf in jax.tree.leaves(state)]


def assert_close(one: Any, two: Any, tolerance: float) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_a_run_in_a_crowd_is_the_run_alone_bit_for_bit(mapped, single):
    for crowd, alone in zip(lane(mapped.state, 1), lane(single[0], 0), strict=True):
        np.testing.assert_array_equal(crowd, alone)
    one = single[1]
    other = mapped.of(1.0, one.split)
    for crowd, alone in zip(jax.tree.leaves(other), jax.tree.leaves(one), strict=True):
        np.testing.assert_array_equal(crowd, alone)


def test_vmapped_is_mapped(vmapped, mapped):
    """float32 parameters after 24 steps of Adam: rounding grows to some 1e-4 of a parameter."""
    assert_close(vmapped.state.model, mapped.state.model, 1e-3)
    # How runs are batched in training is not how they are measured: one compiled function will do.
    for one in mapped.engine.measure(mapped.runs, selected(vmapped.state)):
        other = mapped.of(one.run.beta, one.split)
        for name in ("rate", "distortion", "mutual_information", "marginal_kl"):
            a, b = (m.measurement.by_name()[name] for m in (one, other))
            assert_close(a, b, 1e-3)


def test_convolutions_agree_however_they_are_batched(data, compiled_quickly):
    """Plain ones under map, products of patches under vmap; rounding grows as above.

    Not entry by entry: Adam takes a gradient of rounding alone for as good as any.
    """
    plain, products = (engine_of(data, Plan(b, 2, 4, 1), **CONVOLUTIONS) for b in ("map", "vmap"))
    runs = plain.sweep.runs
    start = leaves(next(plain.train(runs)).state)  # of both: only steps are compiled twice
    models = [trained(engine, runs, start).state.model for engine in (plain, products)]
    for a, b in zip(*map(jax.tree.leaves, models), strict=True):
        assert np.linalg.norm(a - b) < 1e-3 * np.linalg.norm(b)


def test_runs_differ_by_beta_as_they_should(mapped):
    rates = [mapped.of(beta, "train").measurement.rate.value for beta in BETAS]
    assert rates[0] > rates[1] > rates[2]


def test_every_run_is_measured_once_on_every_split(mapped, data):
    assert sorted((m.run.beta, m.split) for m in mapped.measured) == sorted(
        (beta, split) for beta in BETAS for split in ("train", "test")
    )
    for m in mapped.measured:
        assert m.codes.mean.shape == (len(data.splits[m.split]), 2)


def test_the_batch_size_of_training_is_nothing_to_the_measurement(data, mapped):
    """A peer's mutual information is the log of the batch size, whatever the encoder is."""
    engine = engine_of(data, mapped.engine.sweep.plan, batch_size=50)
    m = next(engine.measure(mapped.runs, selected(mapped.state)))
    np.testing.assert_equal(m.measurement, mapped.of(m.run.beta, m.split).measurement)


def test_padding_is_a_copy_that_leaks_nowhere(mapped):
    for padding, last in zip(lane(mapped.state, 3), lane(mapped.state, 2), strict=True):
        np.testing.assert_array_equal(padding, last)
    engine, runs, state = mapped.engine, mapped.runs, mapped.state
    assert len(outcomes(runs, state)) == 3
    assert [curve["beta"] for curve in loss_curves(runs, state, engine.steps)] == list(BETAS)
    assert engine.pictures(runs, selected(state))["samples"].shape[0] == 3


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    names: list[str] = []

    def listen(name: str, duration: float, **_: Any) -> None:
        if name == "/jax/core/compile/backend_compile_duration":
            names.append(name)

    monitoring.register_event_duration_secs_listener(listen)
    yield names
    monitoring.unregister_event_duration_listener(listen)


def test_nothing_is_compiled_twice(mapped, compilations):
    """Another chunk, of other betas and seeds and with more padding, finds everything compiled."""
    jax.jit(lambda x: x + 1)(np.float32(len(compilations)))
    assert len(compilations) == 1  # the listener hears

    engine = mapped.engine
    engine.pictures(mapped.runs, selected(mapped.state))
    before, spent = len(compilations), engine.compile_seconds
    for runs in ((RunId(0.7, 3), RunId(1e-3, 4), RunId(9.0, 5), RunId(0.0, 6)), (RunId(2.0, 7),)):
        state = trained(engine, runs).state
        assert len(list(engine.measure(runs, selected(state)))) == 2 * len(runs)
        engine.pictures(runs, selected(state))
        loss_curves(runs, state, engine.steps)
    assert len(compilations) == before
    assert engine.compile_seconds == spent


def test_measuring_leaves_jax_as_it_was_between_two_runs(mapped):
    measuring = mapped.engine.measure(mapped.runs, selected(mapped.state))
    next(measuring)
    assert not jax.config.values["jax_enable_x64"]


def test_what_goes_wrong_in_compiling_is_told(data, monkeypatch):
    engine = engine_of(data, Plan("map", 2, 4, 1))
    broken = Program(lambda: 1 / 0)
    monkeypatch.setattr(engine, "programs", engine.programs._replace(start=broken))
    with pytest.raises(ZeroDivisionError):
        next(engine.train(engine.sweep.runs))


def test_a_checkpoint_continues_to_the_same_bits(mapped):
    engine, runs = mapped.engine, mapped.runs
    saved = next((b.steps, leaves(b.state)) for b in engine.train(runs) if b.steps >= 3)
    assert 3 <= saved[0] < STEPS
    *_, last = engine.train(runs, saved[1], saved[0])
    for continued, whole in zip(leaves(last.state), leaves(mapped.state), strict=True):
        np.testing.assert_array_equal(continued, whole)


def test_blocks_tell_of_the_start_and_of_every_dispatch(mapped):
    steps = [block.steps for block in mapped.engine.train(mapped.runs)]
    assert steps[0] == 0 and steps[-1] == STEPS
    assert all(a < b for a, b in zip(steps, steps[1:], strict=False))


def test_a_finished_checkpoint_trains_no_more(mapped):
    saved = leaves(mapped.state)
    blocks = list(mapped.engine.train(mapped.runs, saved, STEPS))
    assert [block.steps for block in blocks] == [STEPS]
    for a, b in zip(leaves(blocks[0].state), saved, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "damage",
    [lambda saved: saved[:-1], lambda saved: [saved[0][:2], *saved[1:]], lambda saved: []],
)
def test_a_checkpoint_of_another_model_is_refused(mapped, damage):
    saved = damage(leaves(mapped.state))
    assert not mapped.engine.continues(3, saved)


def test_a_checkpoint_has_as_many_steps_as_a_run_at_most(mapped):
    fits = [mapped.engine.continues(n, leaves(mapped.state)) for n in (-1, 0, STEPS, STEPS + 1)]
    assert fits == [False, True, True, False]


def test_the_history_is_the_mean_loss_of_shares_of_the_steps(mapped):
    for curve in loss_curves(mapped.runs, mapped.state, mapped.engine.steps):
        assert curve["steps"] == list(range(1, STEPS + 1))
        assert len(curve["rate"]) == len(curve["distortion"]) == STEPS
        # D is that of one image: the linear start is better than 64 coin flips, 64 ln 2 nats.
        assert 0.3 < curve["distortion"][0] / (64 * np.log(2)) < 0.8
        assert curve["distortion"][-1] < curve["distortion"][0]
        assert all(rate >= 0 for rate in curve["rate"])


def test_pictures_are_expected_images(mapped, data):
    pictures = mapped.engine.pictures(mapped.runs, selected(mapped.state))
    for name in ("reconstructions", "samples"):
        picture = pictures[name]
        assert picture.shape == (3, 10, *data.shape) and picture.dtype == np.float32
        assert picture.min() > 0 and picture.max() < 1


def test_a_run_that_diverges_has_no_loss_from_then_on(data, mapped):
    engine = engine_of(data, Plan("map", 2, 4, 1), learning_rate=1e30)
    engine.programs = mapped.engine.programs  # the learning rate is an argument
    state = trained(engine, mapped.runs).state
    assert [o.diverged_at for o in outcomes(mapped.runs, state).values()] == [1, 1, 1]
    for curve in loss_curves(mapped.runs, state, engine.steps):
        assert curve["rate"][0] is not None and curve["rate"][1:] == [None] * (STEPS - 1)
    for m in engine.measure(mapped.runs, selected(state)):
        assert m.codes.mean.shape[1] == 2


def test_describe_knows_steps_and_shapes_without_computing(data):
    encoder, centre_and_open = 64 * 8 + 8 + 8 * 4 + 4, 64 + 2
    parameters = encoder + centre_and_open + (64 * 2 + 2) + (2 * 64 + 64)
    settings, shape = settings_of(), DataShape(len(data.train), data.scale, data.dynamic)
    run = Run(settings, Autoencoder(settings, data.shape), shape)
    assert run.steps == STEPS
    trees = run.state.model, *run.state.optimizer[0][1:]
    for tree in trees:
        assert sum(leaf.size for leaf in jax.tree.leaves(tree)) == parameters


def test_a_block_of_steps_is_one_dispatch(mapped, monkeypatch):
    advance, calls = mapped.engine.programs.advance, []
    whole = advance.compiled()
    monkeypatch.setattr(
        advance, "compiled", lambda: lambda *inputs: calls.append(1) or whole(*inputs)
    )
    blocks = list(mapped.engine.train(mapped.runs))
    assert len(calls) == len(blocks) - 1 <= 6  # 24 steps as 1, 2, 4, 8, and the rest


def test_mapped_states_are_advanced_where_they_lie(data):
    """Beside them there is room for a few runs, not for all."""
    betas = tuple(np.arange(1.0, 33).tolist())
    engine = engine_of(data, Plan("map", 2, 32, 1), betas=betas, hidden=(64,))
    needs = engine.programs.advance.compiled().memory_analysis()
    state = 16 * 3 * 4 * engine.parameters  # of 16 runs a device: parameters and Adam's two means
    assert needs.alias_size_in_bytes >= state
    assert needs.temp_size_in_bytes < state / 2


def test_data_are_moved_once(mapped, monkeypatch):
    """After construction nothing goes to a device but the runs' arguments and step numbers."""
    moved, put = [], jax.device_put

    def count(tree: Any, *where: Any) -> Any:
        moved.append(sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree)))
        return put(tree, *where)

    monkeypatch.setattr(jax, "device_put", count)
    blocks = len(list(mapped.engine.train(mapped.runs)))
    assert len(moved) == blocks and max(moved) <= 4 * 4 * 4  # four numbers for each of four runs


def lowered(data: Dataset, batching: str, **values: Any) -> str:
    """What is compiled for training, before XLA has changed it."""
    engine = engine_of(data, Plan(batching, 2, 4, 1), **values)
    return engine.programs.advance.lower().as_text()


@pytest.mark.parametrize("batching", ["map", "vmap"])
@pytest.mark.parametrize("values", [{}, CONVOLUTIONS, {"decoder": "made"}])
def test_training_is_products_and_plain_convolutions_without_callbacks(data, batching, values):
    """One that is dilated, reversed or grouped is slow: on a CPU, and most in a loop."""
    text = lowered(data, batching, **values)
    assert "dot_general" in text
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert bool(convolutions) == (values is CONVOLUTIONS and batching == "map")
    for line in convolutions:
        assert "dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]" in line
        assert "lhs_dilate = [2" not in line and "reverse = [true" not in line
        assert "feature_group_count = 1" in line and "batch_group_count = 1" in line
    assert "callback" not in text and "infeed" not in text


def test_a_mapped_product_has_no_axis_of_runs(data):
    """The first layer of one run is one product, not a group of them."""
    for batching, grouped in (("map", False), ("vmap", True)):
        products = [x for x in lowered(data, batching).splitlines() if "dot_general" in x]
        assert len(products) > 6
        assert any("batching_dims" in product for product in products) == grouped
