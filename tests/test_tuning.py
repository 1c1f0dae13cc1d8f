"""How wide and how batched: chosen by what XLA and the clock say, remembered, and never changed."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from test_engine import assert_close, data, engine_of, settings_of, trained  # noqa: F401

import ratedistortion as rd
from ratedistortion import tuning
from ratedistortion.datasets import Dataset
from ratedistortion.engine import Block, Engine
from ratedistortion.errors import OutOfMemoryError
from ratedistortion.plan import Plan, all_runs, candidates
from ratedistortion.tuning import prepare

EIGHT = tuple(float(n) for n in range(8))


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setattr(tuning, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "batching"


@pytest.fixture
def clock(monkeypatch) -> dict[str, float]:
    """Seconds of a step by way of batching, instead of a trial; every trial is worth it."""
    seconds = {"map": 1.0, "map of 2": 0.5, "vmap": 2.0, "trials": 0}

    def time_step(engine: Engine, short: float = 0.0) -> float:
        seconds["trials"] += 1
        return seconds[engine.plan.way]

    monkeypatch.setattr(tuning, "time_step", time_step)
    monkeypatch.setattr(Engine, "training_bytes", lambda self: None)  # compiles nothing
    monkeypatch.setattr(tuning, "_WORTH_SECONDS", 0.0)
    return seconds


def prepared(data: Dataset, **values: Any) -> tuning.Prepared:  # noqa: F811
    return prepare(settings_of(**{"betas": EIGHT} | values), data, jax.devices())


def test_the_candidates_are_one_a_few_and_all_of_a_device_s_runs():
    assert [p.way for p in candidates(Plan("map", 2, 8, 1))] == ["map", "map of 2", "vmap"]
    assert [p.way for p in candidates(Plan("vmap", 1, 64, 1))] == ["vmap", "map", "map of 8"]
    assert [p.way for p in candidates(Plan("map", 2, 14, 1))] == ["map", "vmap"]  # seven: a prime
    assert [p.way for p in candidates(Plan("map", 2, 2, 1))] == ["map"]
    for plan in candidates(Plan("map", 2, 24, 1)):
        assert (plan.devices, plan.width, plan.chunks) == (2, 24, 1)
        assert plan.width % (plan.devices * plan.lanes) == 0


@pytest.mark.parametrize("few, chosen", [(0.5, "map of 2"), (0.97, "map"), (1.5, "map")])
def test_the_fastest_way_wins_if_it_is_clearly_faster(data, clock, few, chosen):  # noqa: F811
    clock["map of 2"] = few
    engine, times = prepared(data)
    assert engine.plan.way == chosen
    assert times == {"map": 1.0, "map of 2": few, "vmap": 2.0}


def test_a_choice_is_remembered_for_this_architecture(data, clock, empty_cache):  # noqa: F811
    first = prepared(data)
    trials = clock["trials"]
    clock["vmap"] = 0.01  # another day, other timings
    again = prepared(data, betas=tuple(n + 0.5 for n in EIGHT), learning_rate=1e-3, codes=50)
    assert (again.engine.plan, again.step_seconds) == (first.engine.plan, first.step_seconds)
    assert clock["trials"] == trials
    assert prepared(data, hidden=(9,)).engine.plan.way == "vmap"
    assert clock["trials"] > trials
    assert empty_cache.stat().st_mode & 0o777 == 0o700


def test_a_trial_beside_other_programs_is_not_remembered(data, clock, empty_cache, monkeypatch):  # noqa: F811
    # What one step of the platform's own way takes, then two rounds that differ by 30%.
    seconds = iter([1.0, *(1.0, 0.5, 2.0), *(1.3, 0.5, 2.0)])
    monkeypatch.setattr(tuning, "time_step", lambda engine, short=0.0: next(seconds))
    engine, times = prepared(data)
    assert engine.plan.way == "map of 2"
    assert times == {"map": 1.0, "map of 2": 0.5, "vmap": 2.0}
    assert not empty_cache.exists()


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"way": "map"}', '{"way": 3, "step_seconds": 2}']
)
def test_a_damaged_memory_is_made_again(data, clock, empty_cache, text):  # noqa: F811
    prepared(data)
    (file,) = empty_cache.iterdir()
    whole = file.read_text()
    file.write_text(text)
    assert prepared(data).engine.plan.way == "map of 2"
    assert file.read_text() == whole


def test_a_cache_that_cannot_be_written_is_no_obstacle(data, clock, empty_cache):  # noqa: F811
    empty_cache.parent.mkdir()
    empty_cache.write_text("a file where the folder should be")
    assert prepared(data).engine.plan.way == "map of 2"


def test_a_short_sweep_or_one_that_was_told_has_no_trial(data, clock, monkeypatch):  # noqa: F811
    assert prepared(data, batching="vmap").engine.plan.way == "vmap"
    assert clock["trials"] == 0
    monkeypatch.setattr(tuning, "_WORTH_SECONDS", 1e9)
    assert prepared(data).engine.plan.way == "map"
    assert clock["trials"] == 1


def test_what_is_timed_is_a_step_of_a_chunk(data, monkeypatch):  # noqa: F811
    engine = engine_of(data, Plan("map", 2, 4, 1))
    seconds = tuning.time_step(engine)
    assert 0 < seconds < 1
    monkeypatch.setattr(engine, "train", exhausted(engine.train, 1))
    assert tuning.time_step(engine) == math.inf


@pytest.mark.parametrize(
    ("seconds", "expected", "count"),
    [
        ((0.03, 0.04, 0.06, 0.10, 0.18, 0.34), 0.01, 5),  # 0.02 of its own; 0.3 s are enough
        ((0.3, 0.4, 0.6, 1.0), 0.1, 3),  # of two of one step nobody knows which part is whose
        ((0.9, 0.4, 0.6, 1.0), 0.1, 3),  # a slow first one
        ((0.3, 0.55, 0.6, 1.0), 0.1, 3),  # a delayed one
        ((0.8, 0.7, 0.6, 1.0), 0.15, 3),  # nothing is known
        ((4.0, 6.0), 4.0, 1),  # too long to wait for
    ],
)
def test_a_dispatch_costs_more_than_its_steps(data, monkeypatch, seconds, expected, count):  # noqa: F811
    """Dispatches of 1, 2, 4 steps and so on, each with its seconds."""
    engine, seen = engine_of(data, Plan("map", 2, 4, 1)), []

    def train(_):
        yield Block(0, 0.0, None)
        for n, each in enumerate(seconds):
            seen.append(2**n)
            yield Block(sum(seen), each, None)

    monkeypatch.setattr(engine, "train", train)
    assert (tuning.time_step(engine), len(seen)) == (pytest.approx(expected), count)


def test_one_step_shows_that_a_training_is_short(data, monkeypatch):  # noqa: F811
    engine = engine_of(data, Plan("map", 2, 4, 1))
    blocks, train = [], engine.train
    monkeypatch.setattr(
        engine, "train", lambda runs: (blocks.append(block) or block for block in train(runs))
    )
    assert 0 < tuning.time_step(engine, short=1e6) * engine.steps < 1e6
    assert [block.steps for block in blocks] == [0, 1]


def test_a_few_at_a_time_are_one_at_a_time(data):  # noqa: F811
    """As far as all at once are: float32 parameters after 24 steps of Adam."""
    states = [
        trained(engine, all_runs(engine.settings)).state
        for lanes in (1, 2)
        for engine in [engine_of(data, Plan("map", 2, 4, 1, lanes), betas=EIGHT[:4])]
    ]
    assert_close(states[0].model, states[1].model, 1e-3)


def test_what_xla_takes_is_what_fits(data, monkeypatch):  # noqa: F811
    """Eight at once are asked about first; memory for six by XLA's word is given six."""
    settings = settings_of(betas=EIGHT, hidden=(64,))
    six = Engine(settings, data, Plan("map", 2, 6, 2), jax.devices())
    taken = six.training_bytes()
    assert taken is not None
    memory = int(taken * 1.15)
    stored = 2 * sum(images.nbytes for images in data.splits.values())
    monkeypatch.setattr(tuning, "free_memory", lambda devices: memory + stored)
    plan = prepared(data, hidden=(64,)).engine.plan
    assert plan.width * plan.chunks >= 8
    assert plan.width in (4, 6)  # two chunks of four are as good as six and two
    monkeypatch.setattr(tuning, "free_memory", lambda devices: 1000 + stored)
    with pytest.raises(OutOfMemoryError, match="one run needs about"):
        prepared(data, hidden=(64,))


def exhausted(train: Any, most: int) -> Any:
    """Training that has memory for `most` runs at once."""

    def instead(runs: Any, *rest: Any) -> Any:
        if len(runs) > most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte.")
        yield from train(runs, *rest)

    return instead


def sweep_with(monkeypatch, tmp_path: Path, most: int, **values: Any) -> Any:
    whole = Engine.train
    monkeypatch.setattr(Engine, "train", lambda self, *a: exhausted(
        lambda *b: whole(self, *b), most)(*a))  # fmt: skip
    events: list[Any] = []
    settings = settings_of(betas=EIGHT[:4], **values)
    table = rd.sweep(settings, tmp_path / "run", report=events.append)
    return table, events


def test_out_of_memory_makes_one_narrower_plan(monkeypatch, tmp_path):
    whole = rd.sweep(settings_of(betas=EIGHT[:4]), tmp_path / "whole")
    table, events = sweep_with(monkeypatch, tmp_path, 2)
    texts = [event["text"] for event in events if event["event"] == "warning"]
    assert texts == ["out of memory with 4 runs at once: going on with 2."]
    plan = json.loads((tmp_path / "run" / "manifest.json").read_text())["plan"]
    assert plan == dataclasses.asdict(Plan("map", 2, 2, 2))
    assert "out of memory" in (tmp_path / "run" / "log.jsonl").read_text()
    for name in ("rate", "distortion", "mutual_information"):
        np.testing.assert_array_equal(table[name], whole[name])


def test_out_of_memory_twice_is_the_end(monkeypatch, tmp_path):
    with pytest.raises(OutOfMemoryError) as caught:
        sweep_with(monkeypatch, tmp_path, 0)
    assert caught.value.exit_code == 6
    assert str(caught.value).startswith("2 runs at once did not fit in memory:")


def test_out_of_memory_while_measuring_keeps_what_is_trained(monkeypatch, tmp_path):
    """Measuring takes one run a device: fewer at once would train again, and not help."""
    settings = settings_of(betas=EIGHT[:4])
    whole = rd.sweep(settings, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "measure", lambda *_: exhausted(iter, 0)(EIGHT))
        with pytest.raises(OutOfMemoryError, match="^measuring one run did not fit in memory"):
            rd.sweep(settings, tmp_path / "run")
    monkeypatch.setattr(Engine, "train", trained_before(Engine.train))
    table = rd.sweep(settings, tmp_path / "run")
    np.testing.assert_array_equal(table["rate"], whole["rate"])


def trained_before(train: Any) -> Any:
    def instead(self: Engine, runs: Any, saved: Any, done: int = 0) -> Any:
        assert done == self.steps
        yield from train(self, runs, saved, done)

    return instead


def test_what_a_listener_runs_out_of_is_not_the_plan_s(tmp_path):
    def report(event: Any) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        rd.sweep(settings_of(betas=EIGHT[:4]), tmp_path / "run", report=report)


def test_out_of_memory_spoils_no_result(monkeypatch, tmp_path):
    settings = settings_of(betas=EIGHT[:4], runs_at_once=2)
    whole, calls = Engine.train, []

    def second_chunk_fails(self: Engine, runs: Any, *rest: Any) -> Any:
        calls.append(runs)
        return exhausted(lambda *a: whole(self, *a), 2 if len(calls) == 1 else 0)(runs, *rest)

    monkeypatch.setattr(Engine, "train", second_chunk_fails)
    with pytest.raises(OutOfMemoryError, match="2 runs at once"):
        rd.sweep(settings, tmp_path / "run")
    monkeypatch.setattr(Engine, "train", whole)
    assert len(rd.sweep(settings, tmp_path / "run")) == 8


def test_a_dry_run_of_what_does_not_fit_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("ratedistortion.forecast.time_step", lambda engine: math.inf)
    monkeypatch.setattr(Engine, "training_bytes", lambda self: None)
    with pytest.raises(OutOfMemoryError, match="^4 runs at once do not fit"):
        rd.api.dry_run(settings_of(betas=EIGHT[:4], batching="map"), tmp_path / "run")
