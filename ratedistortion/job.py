"""One sweep, from settings to a table: plan, train, measure, store, chunk by chunk."""

import dataclasses
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import pandas

from ratedistortion import contents, datasets, table
from ratedistortion.datasets import Dataset
from ratedistortion.devices import find_devices, free_memory
from ratedistortion.engine import PICTURES, Block, Engine, bytes_per_run, describe, leaves
from ratedistortion.errors import Interrupted, RunDirectoryError, Stopped
from ratedistortion.outcomes import loss_curves, outcomes
from ratedistortion.plan import Plan, RunId, all_runs, make_plan, stored_plan
from ratedistortion.rows import row, row_name, row_names
from ratedistortion.rundir import RunDirectory
from ratedistortion.settings import Settings
from ratedistortion.summary import finished

_CHECKPOINT_SECONDS = 30.0

Report = Callable[[Mapping[str, Any]], None]


def sweep(
    settings: Settings,
    directory: RunDirectory,
    report: Report,
    stop_signal: Callable[[], str | None],
) -> pandas.DataFrame:
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
    devices = find_devices(settings)
    manifest = directory.read_manifest()
    if manifest is None:
        plan = choose_plan(settings, data, devices)
        manifest = _manifest(settings, data, plan, devices)
        directory.write_manifest(manifest)
    else:
        plan = stored_plan(manifest["plan"], settings)
        _check_surroundings(manifest, data, plan, devices, report)
    engine = Engine(settings, data, plan, devices)
    report(
        {
            "event": "plan",
            "runs": len(all_runs(settings)),
            "steps": engine.steps,
            "grid": "target rate" if settings.target_rates else "beta",
            "lowest": min(settings.target_rates or settings.betas),
            "highest": max(settings.target_rates or settings.betas),
            **manifest["plan"],
        }
    )

    times = {"train_seconds": 0.0, "measure_seconds": 0.0}
    trained_steps = 0
    results = []
    for chunk in range(plan.chunks):
        result = directory.read_result(chunk)
        if result is None:
            trained_steps += _one_chunk(engine, directory, chunk, times, report, stop_signal)
            result = directory.read_result(chunk)
        assert result is not None
        if not _belongs(result, plan.runs(settings, chunk), data):
            raise directory.foreign_result(chunk)
        results.append(result)

    rows = [row for result, _ in results for row in result["rows"]]
    kept = {
        name: manifest[name] for name in ("settings", "versions", "device", "data_sha256", "plan")
    }
    directory.write_images(_all_pictures(data, results))
    directory.write_table(table.write(rows, kept))
    summary = {
        "seconds": time.perf_counter() - began,
        "compile_seconds": engine.compile_seconds,
        **times,
        "model_steps_per_second": trained_steps / times["train_seconds"] if trained_steps else 0.0,
    }
    directory.log({"event": "finished", **summary})
    return finished(directory.path, manifest, summary)


def choose_plan(settings: Settings, data: Dataset, devices: list[Any]) -> Plan:
    """The chunk plan for this machine, before anything is computed."""
    _, run = describe(settings, data)
    stored = sum(images.nbytes for images in data.splits.values())
    return make_plan(
        settings,
        devices[0].platform,
        len(devices),
        bytes_per_run(settings, run, data.train.shape[1]),
        free_memory(devices) - len(devices) * stored,
    )


def _one_chunk(
    engine: Engine,
    directory: RunDirectory,
    chunk: int,
    times: dict[str, float],
    report: Report,
    stop_signal: Callable[[], str | None],
) -> int:
    """Trains, measures and stores one chunk; returns how many model-steps it trained."""
    runs = engine.plan.runs(engine.settings, chunk)
    saved = directory.read_state(chunk)
    first = saved[0] if saved else 0
    saved_at, done, state, chunk_seconds = time.monotonic(), first, None, 0.0
    for block in _blocks(engine, directory, chunk, saved):
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

    rows, began, compiled = [], time.perf_counter(), engine.compile_seconds
    ended = outcomes(runs, state)
    for measured in engine.measure(runs, state):
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
    times["measure_seconds"] += time.perf_counter() - began - (engine.compile_seconds - compiled)
    order = row_names(runs)
    rows.sort(key=lambda row: order.index(row_name(row)))
    for curve in loss_curves(runs, state, engine.steps):
        directory.log({"event": "loss", **curve})
    for run, outcome in ended.items():
        if outcome.diverged_at is not None:
            step = outcome.diverged_at
            event = {"event": "diverged", **dataclasses.asdict(run), "step": step}
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
        continues = contents.command(directory.path)
        raise kind(f"stopped by {signal} with a checkpoint; `{continues}` continues.")


def _manifest(settings: Settings, data: Dataset, plan: Plan, devices: list[Any]) -> dict[str, Any]:
    packages = ("ratedistortion", "jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "schema": contents.SCHEMA,
        "settings": settings.as_json(),
        "settings_sha256": settings.sha256(),
        "plan": dataclasses.asdict(plan),
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in packages},
        },
        "device": devices[0].device_kind,
        "data_sha256": data.sha256,
    }


def _check_surroundings(
    manifest: dict[str, Any],
    data: Dataset,
    plan: Plan,
    devices: list[Any],
    report: Report,
) -> None:
    """A sweep is continued on the same data; another machine or library is worth a word."""
    if manifest["data_sha256"] != data.sha256:
        raise RunDirectoryError(
            f"the data set {data.name} has changed since this sweep began: SHA-256"
            f" {manifest['data_sha256'][:12]}… then, {data.sha256[:12]}… now."
        )
    if len(devices) < plan.devices:
        raise RunDirectoryError(
            f"this sweep was begun on {plan.devices} devices and {len(devices)} are at hand:"
            " continue it where it was begun, or use another directory."
        )
    now = {f"jax {metadata.version('jax')}", devices[0].device_kind}
    then = {f"jax {manifest['versions'].get('jax')}", manifest["device"]}
    if now != then:
        report({
            "event": "warning",
            "text": f"begun with {', '.join(sorted(then - now))}, continued with"
            f" {', '.join(sorted(now - then))}: the last digits can differ.",
        })  # fmt: skip


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
        "seed": np.array([row["seed"] for row in runs]),
    }
