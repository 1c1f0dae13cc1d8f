"""Whoever listens to a sweep hears of everything once, also where it is stopped and goes on."""

import os
import pickle
import signal
import sys

import killed_sweep
import pytest
from commands import run
from tiny_engine import settings_of

import ratedistortion as rd
from ratedistortion import events
from ratedistortion.errors import Stopped
from ratedistortion.run_directory import reading


def told(seen, kind):
    return [event for event in seen if isinstance(event, kind)]


def test_every_event_of_a_sweep_that_is_stopped_twice_comes_once(tmp_path):
    settings = settings_of(betas=(0.1, 0.5, 1.0, 2.0), runs_at_once=2)
    whole, seen = [], []
    rd.sweep(settings, tmp_path / "whole", whole.append, progress=False)
    for kind, count in ((events.Trained, 1), (events.Measured, 5)):

        def stop_signal(kind=kind, count=count) -> str | None:
            return "SIGTERM" if len(told(seen, kind)) >= count else None

        with pytest.raises(Stopped):
            rd.sweep(settings, tmp_path / "run", seen.append, stop_signal, progress=False)
    rd.sweep(settings, tmp_path / "run", seen.append, progress=False)
    for kind in (events.Measured, events.Loss):
        assert sorted(map(str, told(seen, kind))) == sorted(map(str, told(whole, kind)))
    assert [event.chunk for event in told(seen, events.ChunkDone)] == [0, 1]
    assert len(told(seen, events.Finished)) == 1
    steps = [(event.chunk, event.steps) for event in told(seen, events.Trained)]
    assert steps == sorted(set(steps)) and {chunk for chunk, _ in steps} == {0, 1}
    rows = [event.row for event in told(seen, events.Measured)]
    assert len(rows) == 8 and all(row["rate"] > 0 for row in rows)


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_quickly")
def test_after_kill_9_nothing_that_is_stored_is_told_again_and_nothing_is_lost(tmp_path):
    path, file = tmp_path / "run", tmp_path / "told"
    quickly = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    killed = run(sys.executable, killed_sweep.__file__, path, file, environment=quickly)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before, after = [], []
    with file.open("rb") as stream:
        while stream.peek(1):
            before.append(pickle.load(stream))
    stored = {str(loss) for loss in reading.read_losses(path)}
    rd.sweep(killed_sweep.SETTINGS, path, after.append, progress=False)

    # The first chunk is stored, and the second with all of its steps, but with none of its rows.
    assert [(event.chunk, event.rows) for event in told(before, events.Measured)] == [
        *((0, n) for n in range(1, 5)), *((1, n) for n in range(1, 4))
    ]  # fmt: skip
    assert [(event.chunk, event.rows) for event in told(after, events.Measured)] == [
        (1, n) for n in range(1, 5)
    ]
    assert told(after, events.Trained) == []
    steps = {event.chunk: event.steps for event in told(before, events.Trained)}
    assert steps == dict.fromkeys((0, 1), killed_sweep.SETTINGS.steps)
    assert {str(loss._asdict()) for loss in told(before, events.Loss)} == stored
    assert [event.chunk for event in told(before, events.ChunkDone)] == [0]

    # What is told again is the same, and together it is all that the directory has.
    rows = [row for result in reading.read_results(path) for row in result["rows"]]
    for row in rows:
        assert row in [event.row for event in told(before + after, events.Measured)]
    known = told(before, events.Measured)[-3:]
    assert known == told(after, events.Measured)[:3]
    losses = [loss._asdict() for loss in told(before + after, events.Loss)]
    assert sorted(map(str, losses)) == sorted(map(str, reading.read_losses(path)))
    assert [event.chunk for event in told(after, events.ChunkDone)] == [1]
    assert len(told(before + after, events.Finished)) == 1
