"""Whoever listens to a sweep hears of everything once, also where it is stopped and goes on."""

import pytest
from tiny_engine import settings_of

import ratedistortion as rd
from ratedistortion import events
from ratedistortion.errors import Stopped


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
