"""One sweep, from settings to a table: plan, train, measure, store, chunk by chunk."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ratedistortion import datasets
from ratedistortion.datasets import Dataset
from ratedistortion.engine.devices import out_of_memory
from ratedistortion.engine.engine import PICTURES, Block, Engine, Measured, leaves
from ratedistortion.engine.outcomes import loss_curves, outcomes
from ratedistortion.engine.plan import RunId, all_runs, make_plan
from ratedistortion.errors import Interrupted, OutOfMemoryError, RunDirectoryError, Stopped
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.settings import Settings
from ratedistortion.sweeping.manifest import make_manifest
from ratedistortion.sweeping.preparation import prepare
from ratedistortion.sweeping.rows import row, row_name, row_names
from ratedistortion.training.run import TrainState

if TYPE_CHECKING:
    import pandas

_CHECKPOINT_SECONDS = 30.0

Report = Callable[[Mapping[str, Any]], None]


def sweep(
    settings: Settings,
    directory: RunDirectory,
    report: Report,
    stop_signal: Callable[[], str | None],
) -> "pandas.DataFrame":
    """Carries out a sweep in a run directory, or what is left of one.

    Args:
        settings: What to do; the directory's manifest, if there is one, agrees with it.
        directory: Held by this process.
        report: Told of every event, as a mapping with the key `event`.
        stop_signal: Asked between dispatches; the name of a signal that came ends the sweep with
            a checkpoint.

    Returns:
        The table, with `attrs["summary"]` added.

    Raises:
        Stopped: If a signal came; `Interrupted` for SIGINT.
    """
    began = time.perf_counter()
    data = datasets.load(settings)
    manifest = directory.read_manifest()
    engine, devices = prepare(settings, data, manifest, report)
    if manifest is None:
        manifest = make_manifest(settings, data, engine.plan, devices)
        directory.write_manifest(manifest)
    results, width = None, engine.plan.width
    with contextlib.suppress(_TooWide):
        results, times = _all_chunks(engine, directory, report, stop_signal)
    # Out of the reach of the error, which held the engine and so what it has on its devices.
    if results is None:
        engine = _narrower(engine, directory, devices)
        text = f"out of memory with {width} runs at once: going on with {engine.plan.width}."
        manifest = {**manifest, "plan": dataclasses.asdict(engine.plan)}
        directory.write_manifest(manifest)
        directory.log({"event": "warning", "text": text})
        report({"event": "warning", "text": text})
        try:
            results, times = _all_chunks(engine, directory, report, stop_signal)
        except _TooWide as error:
            raise _does_not_fit(engine.plan.width) from error

    # pandas and pyarrow take a third of a second: not before training.
    from ratedistortion.sweeping.summary import finished
    from ratedistortion.table import parquet

    rows = [row for result, _ in results for row in result["rows"]]
    kept = {
        name: manifest[name] for name in ("settings", "versions", "device", "data_sha256", "plan")
    }
    directory.write_images(_all_pictures(data, results))
    directory.write_table(parquet.write(rows, {**kept, "loss": settings.loss()}))
    summary = {
        "seconds": time.perf_counter() - began,
        "compile_seconds": engine.programs.seconds,
        **times,
    }
    directory.log({"event": "finished", **summary})
    return finished(directory.path, manifest, summary)


def _all_chunks(
    engine: Engine,
    directory: RunDirectory,
    report: Report,
    stop_signal: Callable[[], str | None],
) -> tuple[list[tuple[dict[str, Any], dict[str, np.ndarray]]], dict[str, float]]:
    """The stored results of all chunks, those missing computed first; and what that took."""
    settings, plan = engine.settings, engine.plan
    report(
        {
            "event": "plan",
            "runs": len(all_runs(settings)),
            "steps": engine.steps,
            "grid": "target rate" if settings.target_rates else "beta",
            "lowest": min(settings.target_rates or settings.betas),
            "highest": max(settings.target_rates or settings.betas),
            **dataclasses.asdict(plan),
        }
    )
    times = {"train_seconds": 0.0, "measure_seconds": 0.0}
    trained_steps = 0
    results = []
    for chunk in range(plan.chunks):
        result = directory.read_result(chunk)
        if result is None:
            try:
                trained_steps += _one_chunk(engine, directory, chunk, times, report, stop_signal)
            finally:
                engine.programs.cancel()
            result = directory.read_result(chunk)
        assert result is not None
        if not _belongs(result, plan.runs(settings, chunk), engine.data):
            raise directory.foreign_result(chunk)
        results.append(result)
    speed = trained_steps / times["train_seconds"] if trained_steps else 0.0
    return results, {**times, "model_steps_per_second": speed}


def _narrower(engine: Engine, directory: RunDirectory, devices: list[Any]) -> Engine:
    """An engine of half the width, unless there is a result or only one run at once."""
    width = engine.plan.width
    if width == 1 or directory.read_result(0) is not None:
        raise _does_not_fit(width)
    directory.remove_state(0)
    half = dataclasses.replace(engine.settings, runs_at_once=width // 2)
    plan = make_plan(half, devices[0].platform, len(devices), 1, width)
    plan = dataclasses.replace(plan, batching=engine.plan.batching)
    return Engine(engine.settings, engine.data, plan, devices)


def _does_not_fit(width: int) -> OutOfMemoryError:
    what = "one run" if width == 1 else f"{width} runs at once"
    return OutOfMemoryError(
        f"{what} did not fit in memory: free some and run the same command again, or use another"
        " directory and lower runs_at_once, hidden, latents or batch_size."
    )


def _one_chunk(
    engine: Engine,
    directory: RunDirectory,
    chunk: int,
    times: dict[str, float],
    report: Report,
    stop_signal: Callable[[], str | None],
) -> int:
    """Trains, measures and stores one chunk; returns how many model-steps it trained.

    Raises:
        _TooWide: If training it does not fit in memory.
        OutOfMemoryError: If measuring a run of it does not.
    """
    runs = engine.plan.runs(engine.settings, chunk)
    saved = directory.read_state(chunk)
    first = saved[0] if saved else 0
    saved_at, done, state, chunk_seconds = time.monotonic(), first, None, 0.0
    for block in _blocks(engine, directory, chunk, saved):
        engine.compile_ahead()
        done, state = block.steps, block.state
        chunk_seconds += block.seconds
        times["train_seconds"] += block.seconds
        report({
            "event": "block", "chunk": chunk, "runs": len(runs), "steps_done": done,
            "chunk_seconds": chunk_seconds,
        })  # fmt: skip
        stopping = stop_signal()
        if stopping or time.monotonic() - saved_at > _CHECKPOINT_SECONDS or done == engine.steps:
            directory.write_state(chunk, done, leaves(block.state))
            saved_at = time.monotonic()
        _stop(stopping, directory)
    assert state is not None

    rows, began, compiled = [], time.perf_counter(), engine.programs.seconds
    ended = outcomes(runs, state)
    for measured in _measured(engine, runs, state):
        rows.append(row(engine, measured, ended[measured.run]))
        if engine.settings.save_posteriors:
            target = measured.run.target_rate
            point = f"beta={measured.run.beta!r}" if target is None else f"target_rate={target!r}"
            name = f"{point},seed={measured.run.seed},split={measured.split}"
            data = engine.data.splits[measured.split] * np.float32(engine.data.scale)
            directory.write_posterior(name, {**measured.codes._asdict(), "data": data})
        report({"event": "measured", "chunk": chunk, "rows": len(rows), "of": 2 * len(runs)})
        _stop(stop_signal(), directory)
    pictures = engine.pictures(runs, state)
    times["measure_seconds"] += time.perf_counter() - began - (engine.programs.seconds - compiled)
    order = row_names(runs)
    rows.sort(key=lambda row: order.index(row_name(row)))
    for curve in loss_curves(runs, state, engine.steps):
        directory.log({"event": "loss", **curve})
    for run, outcome in ended.items():
        if outcome.diverged_at is not None:
            event = {
                "event": "diverged", **dataclasses.asdict(run), "step": outcome.diverged_at,
                "term": outcome.diverged_by, "data": engine.data.far_from_unit_scale,
            }  # fmt: skip
            directory.log(event)
            report(event)
    directory.write_result(chunk, {"rows": rows}, pictures)
    event = {"event": "chunk done", "chunk": chunk, **times}
    directory.log(event)
    report(event)
    return (done - first) * len(runs)


def _blocks(
    engine: Engine,
    directory: RunDirectory,
    chunk: int,
    saved: tuple[int, list[np.ndarray]] | None,
) -> Iterator[Block]:
    """The blocks of a chunk's training, from its checkpoint if there is one."""
    done, state_leaves = saved or (0, None)
    if not 0 <= done <= engine.steps:
        raise directory.foreign_state(chunk)
    try:
        yield from engine.train(engine.plan.runs(engine.settings, chunk), state_leaves, done)
    except RunDirectoryError as error:
        raise directory.foreign_state(chunk) from error
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise _TooWide from error


def _measured(engine: Engine, runs: Sequence[RunId], state: TrainState) -> Iterator[Measured]:
    """What `Engine.measure` yields; one run at a time, so that fewer at once would not help."""
    try:
        yield from engine.measure(runs, state)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "measuring one run did not fit in memory: free some and run the same command again,"
            " which measures what is trained, or use another directory and lower max_examples."
        ) from error


class _TooWide(Exception):
    """Training a chunk does not fit in memory."""


def _belongs(
    result: tuple[dict[str, Any], dict[str, np.ndarray]], runs: Sequence[RunId], data: Dataset
) -> bool:
    """Whether a stored result is that of these runs on data of this shape."""
    values, pictures = result
    try:
        rows = [row_name(row) for row in values["rows"]]
        shapes = [pictures[name].shape for name in ("reconstructions", "samples")]
    except (KeyError, TypeError):
        return False
    fits = all(shape[:1] + shape[2:] == (len(runs), *data.shape) for shape in shapes)
    return rows == row_names(runs) and fits


def _stop(signal: str | None, directory: RunDirectory) -> None:
    if signal:
        kind = Interrupted if signal == "SIGINT" else Stopped
        continues = reading.command(directory.path)
        raise kind(f"stopped by {signal} with a checkpoint; `{continues}` continues.")


def _all_pictures(
    data: Dataset, results: list[tuple[dict[str, Any], dict[str, np.ndarray]]]
) -> dict[str, np.ndarray]:
    originals = data.splits["test"][:PICTURES] * np.float32(data.scale)
    chunks = [pictures for _, pictures in results]
    runs = [row for values, _ in results for row in values["rows"] if row["split"] == "test"]
    return {
        "originals": originals.reshape(-1, *data.shape),
        **{name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]},
        "beta": np.array([row["beta"] for row in runs]),
        "target_rate": np.array([row["target_rate"] for row in runs], float),  # nan for None
        "seed": np.array([row["seed"] for row in runs]),
    }
