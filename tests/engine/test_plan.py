"""Every run once, in as few and as equal chunks as memory allows."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ratedistortion.engine.plan import Plan, RunId, all_runs, make_plan, stored_plan
from ratedistortion.errors import OutOfMemoryError, RunDirectoryError, SettingsError
from ratedistortion.settings import Settings

MIB = 2**20


def sweep(betas: int, seeds: int = 1, runs_at_once: int | None = None, **values) -> Settings:
    return Settings(
        betas=tuple(float(n) for n in range(betas)),
        seeds=seeds,
        runs_at_once=runs_at_once,
        **values,
    )


def plan(settings: Settings, devices: int, fitting: int = 10**6, platform: str = "cpu") -> Plan:
    runs = len(all_runs(settings))
    return make_plan(settings, runs, platform, devices, 10, 10 * fitting + 9)


@hypothesis_settings(derandomize=True, deadline=None, database=None, max_examples=100)
@given(
    betas=st.integers(1, 60),
    seeds=st.integers(1, 4),
    at_once=st.none() | st.integers(1, 300),
    devices=st.integers(1, 9),
    fitting=st.integers(1, 300),
)
def test_every_run_is_in_one_chunk_whatever_the_machine(betas, seeds, at_once, devices, fitting):
    settings = sweep(betas, seeds, at_once)
    count = betas * seeds
    if at_once and min(at_once, count) > fitting:
        with pytest.raises(SettingsError):
            plan(settings, devices, fitting)
        return
    made = plan(settings, devices, fitting)
    chunks = [made.chunk(all_runs(settings), chunk) for chunk in range(made.chunks)]
    assert [run for chunk in chunks for run in chunk] == list(all_runs(settings))
    assert made.chunk(all_runs(settings), made.chunks) == ()

    assert 1 <= made.devices <= devices
    assert made.width % made.devices == 0
    assert made.width <= fitting
    # Every chunk has a run, and every device of a chunk has one but for the last chunk's.
    assert all(chunks)
    assert all(len(chunk) == made.width for chunk in chunks[:-1])
    if at_once:
        assert all(len(chunk) <= at_once for chunk in chunks)
    # Balanced: no narrower chunk, a multiple of the devices, would do with as many chunks.
    assert (made.width - made.devices) * made.chunks < count
    # A stored plan is read back as it was.
    stored = json.loads(json.dumps(dataclasses.asdict(made)))
    assert stored_plan(stored, count, settings) == made


def test_runs_are_in_the_order_of_the_rows():
    assert all_runs(Settings(betas=(2.0, 1.0), seeds=2)) == (
        RunId(2.0, 0),
        RunId(2.0, 1),
        RunId(1.0, 0),
        RunId(1.0, 1),
    )


@pytest.mark.parametrize(
    "runs, devices, fitting, width, chunks",
    [
        (12, 2, 1000, 12, 1),
        (4, 2, 1000, 4, 1),
        (5, 2, 1000, 6, 1),  # one place of padding, not two chunks of four
        (5, 2, 5, 4, 2),  # memory for five: no room for padding
        (1, 8, 1000, 1, 1),
        (3, 8, 1000, 3, 1),
        (100, 2, 1000, 50, 2),  # not 64 and 36
        (65, 1, 1000, 33, 2),
        (12, 2, 5, 4, 3),
        (12, 2, 1, 1, 12),
    ],
)
def test_chunks_are_few_and_balanced(runs, devices, fitting, width, chunks):
    made = plan(sweep(runs), devices, fitting)
    assert (made.width, made.chunks) == (width, chunks)


def test_what_is_asked_for_wins():
    made = plan(sweep(12, runs_at_once=5), 2)
    assert (made.devices, made.width, made.chunks) == (2, 4, 3)
    assert plan(sweep(12, runs_at_once=1), 2).devices == 1
    assert plan(sweep(12, runs_at_once=500), 2).width == 12


def test_an_odd_number_of_runs_at_once_is_padded_rather_than_cut():
    """All five at once, as asked: two devices of three places, one of which is padding."""
    made = plan(sweep(5, runs_at_once=5), 2)
    assert (made.width, made.chunks) == (6, 1)


@pytest.mark.parametrize(
    "batching, platform, expected",
    [
        ("auto", "cpu", "map"),
        ("auto", "gpu", "vmap"),
        ("vmap", "cpu", "vmap"),
        ("map", "gpu", "map"),
    ],
)
def test_a_cpu_maps_and_a_gpu_batches_unless_told(batching, platform, expected):
    assert plan(sweep(4, batching=batching), 2, platform=platform).batching == expected


@pytest.mark.parametrize("memory", [199 * MIB, 0, -5 * MIB])
def test_not_even_one_run_fits(memory):
    with pytest.raises(OutOfMemoryError) as caught:
        make_plan(sweep(4), 4, "cpu", 2, 200 * MIB, memory)
    assert caught.value.exit_code == 6
    assert str(caught.value) == (
        f"one run needs about 200 MiB and {memory // MIB} MiB are free: lower hidden, latents or"
        " batch_size."
    )


def test_more_at_once_than_fit():
    with pytest.raises(SettingsError) as caught:
        make_plan(sweep(12, runs_at_once=8), 12, "cpu", 2, 200 * MIB, 1500 * MIB)
    assert str(caught.value) == (
        "runs_at_once: 8 runs need about 1,600 MiB and 1,500 MiB are free: at most 7 fit."
    )
    # Fewer runs than are asked for at once need less.
    assert make_plan(sweep(7, runs_at_once=8), 7, "cpu", 1, 200 * MIB, 1500 * MIB).width == 7


GOOD = {"batching": "map", "devices": 2, "width": 4, "chunks": 3}


def test_a_stored_plan_wins_over_the_machine():
    assert stored_plan(GOOD, 12, sweep(12, runs_at_once=1)) == Plan(**GOOD)
    assert stored_plan(GOOD, 12, sweep(12, batching="map")) == Plan(**GOOD)


def test_a_stored_plan_is_not_changed_in_silence():
    with pytest.raises(RunDirectoryError) as caught:
        stored_plan(GOOD, 12, sweep(12, batching="vmap"))
    assert str(caught.value) == (
        "batching: map in the run directory, vmap asked for: leave the option out, or use another"
        " directory."
    )


@pytest.mark.parametrize(
    "damage",
    [
        {"width": 0},
        {"width": -4},
        {"width": 3},
        {"width": 400, "chunks": 1},
        {"chunks": 2},
        {"chunks": 4},
        {"devices": 0},
        {"devices": "2"},
        {"width": 4.0},
        {"devices": True},
        {"batching": "auto"},
        {"batching": None},
        {"unknown": 1},
    ],
)
def test_a_damaged_plan_is_refused(damage):
    with pytest.raises(RunDirectoryError, match="the chunk plan is damaged"):
        stored_plan(GOOD | damage, 12, sweep(12))


def test_a_plan_with_a_field_missing_is_refused():
    with pytest.raises(RunDirectoryError, match="the chunk plan is damaged"):
        stored_plan({"batching": "map"}, 12, sweep(12))


def test_the_last_chunk_is_padded_by_less_than_a_chunk():
    made = plan(sweep(10, runs_at_once=4), 2)
    assert (made.width, made.chunks) == (4, 3)
    assert len(made.chunk(all_runs(sweep(10)), 2)) == 2
    assert math.ceil(10 / made.width) == made.chunks
