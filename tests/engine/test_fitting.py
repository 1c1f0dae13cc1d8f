"""As many runs at once as memory holds, and what happens where that was too many."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from tiny_engine import settings_of

import ratedistortion as rd
from ratedistortion.engine import fitting
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.fitting import fitted_engine
from ratedistortion.engine.plan import Plan, Sweep, all_runs
from ratedistortion.errors import OutOfMemoryError
from ratedistortion.events import Warned

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_quickly")]

EIGHT = tuple(float(n) for n in range(8))


def test_what_xla_takes_is_what_fits(data, monkeypatch):
    """Eight at once are asked about first; memory for six by XLA's word is given six."""
    settings = settings_of(betas=EIGHT, hidden=(64,))
    six = Engine(Sweep(settings, data, Plan("map", 2, 6, 2)), jax.devices())
    taken = six.training_bytes()
    memory = int(taken * 1.15)
    stored = 2 * sum(images.nbytes for images in data.splits.values())
    monkeypatch.setattr(fitting, "free_memory", lambda devices: memory + stored)
    plan = fitted_engine(settings, data, all_runs(settings), jax.devices()).sweep.plan
    assert plan.width * plan.chunks >= 8
    assert plan.width in (4, 6)  # two chunks of four are as good as six and two
    monkeypatch.setattr(fitting, "free_memory", lambda devices: 1000 + stored)
    with pytest.raises(OutOfMemoryError, match="one run needs about"):
        fitted_engine(settings, data, all_runs(settings), jax.devices())


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
    table = rd.sweep(settings, tmp_path / "run", on_event=events.append)
    return table, events


def test_out_of_memory_makes_one_narrower_plan(monkeypatch, tmp_path):
    whole = rd.sweep(settings_of(betas=EIGHT[:4]), tmp_path / "whole")
    table, events = sweep_with(monkeypatch, tmp_path, 2)
    texts = [event.text for event in events if isinstance(event, Warned)]
    assert texts == ["out of memory with 4 runs at once: going on with 2."]
    (part,) = json.loads((tmp_path / "run" / "manifest.json").read_text())["parts"]
    assert part["plan"] == dataclasses.asdict(Plan("map", 2, 2, 2))
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
        rd.sweep(settings_of(betas=EIGHT[:4]), tmp_path / "run", on_event=report)


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
