"""One sweep, from settings to a table: prepare, train, measure and store, chunk by chunk."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ratedistortion import datasets, events
from ratedistortion.datasets import Dataset
from ratedistortion.engine.plan import all_runs
from ratedistortion.measuring.pictures import PICTURES
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.run_directory.reading import StoredChunk
from ratedistortion.settings import Settings
from ratedistortion.sweeping.chunks import Chunks
from ratedistortion.sweeping.manifest import Manifest
from ratedistortion.sweeping.preparation import prepare
from ratedistortion.sweeping.remeasuring import remeasure, settle
from ratedistortion.sweeping.surroundings import surroundings
from ratedistortion.table.identity import row_name, row_names

if TYPE_CHECKING:
    import pandas


def sweep(
    settings: Settings,
    directory: RunDirectory,
    report: events.Report,
    stop_signal: Callable[[], str | None],
    again: bool = False,
) -> "pandas.DataFrame":
    """Carries out a sweep in a run directory, or what is left of one.

    Args:
        settings: What to do. The directory's manifest, if there is one, agrees with it, but may
            lack points of the grid, which are then added.
        directory: Held by this process.
        report: Told of every event.
        stop_signal: Asked between dispatches; the name of a signal that came ends the sweep with
            a checkpoint.
        again: Whether the models are measured again where `settings` ask for more or other
            measurements than the manifest has.

    Returns:
        The table, with `attrs["summary"]` added.

    Raises:
        Stopped: If a signal came; `Interrupted` for SIGINT.
        OutOfMemoryError: If even half of the runs at once do not fit in memory.
    """
    began = time.perf_counter()

    def emit(event: events.Event) -> None:
        if (line := events.as_logged(event)) is not None and manifest is not None:
            directory.log(line)
        report(event)

    data = datasets.load(settings)
    report(read := events.DataRead(data.description))
    manifest = Manifest.read(directory.path)
    if manifest is not None:
        manifest = manifest.with_grid(settings)
    engine, devices = prepare(settings, data, manifest, emit)
    if engine is not None:
        directory.remove(directory.path / reading.TABLE)  # of the grid as it was
        manifest = manifest or Manifest.make(directory.path, engine.sweep, devices)
        manifest = manifest.with_part(engine.sweep.runs, engine.sweep.plan)
        directory.write_manifest(manifest.values)
    assert manifest is not None
    if not (directory.path / reading.DATA).exists():
        directory.write_arrays(reading.DATA, data.preview())
    directory.log(events.as_logged(read) or {})
    chunks = Chunks(directory, data, devices, emit, stop_signal, settings.keep_models)
    settle(chunks, manifest)
    if again:
        manifest = remeasure(chunks, manifest, settings)
    manifest, results = chunks.compute(manifest, engine)

    # pandas and pyarrow take a third of a second to import, so they come after training.
    from ratedistortion.sweeping.summary import finished
    from ratedistortion.table import parquet

    rows, images = _in_order(settings, data, results)
    made_with = [
        result[name]
        for result, _ in results
        for name in ("surroundings", "measured_with")
        if name in result
    ]
    own = {name: manifest.values[name] for name in surroundings(devices)}
    others = [each for n, each in enumerate(made_with) if each not in (own, *made_with[:n])]
    kept = manifest.metadata(others)
    kept["images_sha256"] = directory.write_arrays(reading.IMAGES, images)
    directory.write_manifest(manifest.values)  # it may have been removed meanwhile
    directory.write_table(parquet.write(rows, kept))
    times = events.Finished(
        seconds=time.perf_counter() - began,
        compile_seconds=chunks.compile_seconds,
        train_seconds=chunks.train_seconds,
        measure_seconds=chunks.measure_seconds,
        model_steps_per_second=chunks.model_steps / max(chunks.train_seconds, 1e-9),
    )
    emit(times)
    return finished(manifest, times._asdict())


def _in_order(
    settings: Settings, data: Dataset, results: list[StoredChunk]
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """The rows and the pictures of all chunks, in the order of the grid."""
    rows = [row for values, _ in results for row in values["rows"]]
    order = {name: n for n, name in enumerate(row_names(all_runs(settings)))}
    places = np.argsort([order[row_name(row)] for row in rows], kind="stable")
    # The pictures of a chunk are in the order of its runs, of which every other row is the test's.
    tests = [n for n, row in enumerate(rows) if row["split"] == "test"]
    runs = np.argsort([order[row_name(rows[n])] for n in tests], kind="stable")
    shown = [rows[tests[n]] for n in runs]
    originals = data.in_own_units(data.splits["test"][:PICTURES] * np.float32(data.scale))
    chunks = [pictures for _, pictures in results]
    images = {
        "originals": originals.reshape(-1, *data.shape),
        **{
            name: data.in_own_units(np.concatenate([chunk[name] for chunk in chunks]))[runs]
            for name in chunks[0]
        },
        "beta": np.array([row["beta"] for row in shown]),
        "target_rate": np.array([row["target_rate"] for row in shown], float),  # nan for None
        "seed": np.array([row["seed"] for row in shown]),
    }
    return [rows[n] for n in places], images
