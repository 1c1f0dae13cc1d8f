"""A finished sweep measured again, with other codes or more bounds, from the models that it kept.

New results are put into the folder `remeasured`, which mirrors the run directory. Until all are
there, the manifest and so every reader keeps to the old ones. Then the manifest changes, at once,
and the new results take the places of the old.
"""

import time
from pathlib import Path
from typing import Any

from ratedistortion import events
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.outcomes import Outcome
from ratedistortion.engine.plan import RunId, Sweep
from ratedistortion.errors import RunDirectoryError
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.reading import REMEASURED, RESULT, ROWS, ChunkFiles
from ratedistortion.settings import Settings
from ratedistortion.sweeping.chunk import measure_chunk
from ratedistortion.sweeping.chunks import Chunks, new_rows
from ratedistortion.sweeping.kept_models import kept_models
from ratedistortion.sweeping.manifest import Manifest, Part
from ratedistortion.sweeping.surroundings import surroundings
from ratedistortion.table.identity import row_name, row_names


def remeasure(chunks: Chunks, manifest: Manifest, settings: Settings) -> Manifest:
    """Measures every model again, or those that are left after a stop.

    Args:
        chunks: Of the run directory.
        manifest: Of the run directory.
        settings: Used are `settings.MEASURING_FIELDS`.

    Returns:
        The manifest, with these settings.

    Raises:
        RunDirectoryError: If a chunk is not done yet, or its models are not there.
        Stopped: If a signal came.
    """
    directory, after = chunks.directory, manifest.with_measuring(settings)
    if after.settings != manifest.settings:
        parts = list(zip(manifest.parts(), after.parts(), strict=True))
        for old, _ in parts:  # before any work is done
            for chunk in old.numbers:
                _check_kept(ChunkFiles(directory.path, chunk, old.sweep_id))
        for old, new in parts:
            _measure_part(chunks, after, old, new)
        directory.remove(directory.path / reading.TABLE)
        directory.write_manifest(after.values)
    settle(chunks, after)
    return after


def settle(chunks: Chunks, manifest: Manifest) -> None:
    """Puts new results in the places of the old, where the manifest is theirs.

    Args:
        chunks: Of the run directory.
        manifest: As it is stored.
    """
    directory = chunks.directory
    staged = directory.path / REMEASURED
    for part in manifest.parts():
        for chunk in part.numbers:
            found = reading.read_staged(directory.path, chunk, [part.sweep_id])
            if found is None:
                continue
            for name in found[0]["posteriors"]:
                place = Path(reading.POSTERIORS, Path(name).name)  # never out of the directory
                directory.move(staged / place, directory.path / place)
            place = ChunkFiles(directory.path, chunk, part.sweep_id).path(RESULT)
            directory.move(staged / place.relative_to(directory.path), place)


def _measure_part(chunks: Chunks, after: Manifest, old: Part, new: Part) -> None:
    engine, path = None, chunks.directory.path
    for chunk in old.numbers:
        files = ChunkFiles(path / REMEASURED, chunk, new.sweep_id)
        if reading.read_staged(path, chunk, [new.sweep_id]) is not None:
            continue
        stored = ChunkFiles(path, chunk, old.sweep_id).read(RESULT)
        assert stored is not None
        if engine is None:
            engine = Engine(Sweep(after.settings, chunks.data, new.plan, new.runs), chunks.devices)
        values, pictures = stored
        began, compiled = time.perf_counter(), engine.compile_seconds
        measured = _measure(
            chunks, engine, files, new.plan.chunk(new.runs, chunk - new.first), values
        )
        measured["posteriors"] = values["posteriors"] | measured["posteriors"]
        kept = {name: value for name, value in values.items() if name not in files.owner}
        kept |= measured | {"measured_with": surroundings(chunks.devices)}
        chunks.directory.write_chunk(files, RESULT, kept, pictures)
        chunks.directory.remove(files.path(ROWS))
        seconds = time.perf_counter() - began - (engine.compile_seconds - compiled)
        chunks.measure_seconds += seconds
        chunks.emit(events.ChunkDone(chunk, 0.0, seconds))
    chunks.compile_seconds += engine.compile_seconds if engine else 0.0


def _measure(
    chunks: Chunks,
    engine: Engine,
    files: ChunkFiles,
    runs: tuple[RunId, ...],
    values: dict[str, Any],
) -> dict[str, Any]:
    """The rows and posteriors of a chunk, of whose old result these are the values."""
    sums, splits = values.get("models", {}), engine.sweep.data.splits
    rows, kept = {row_name(row): row for row in values["rows"]}, new_rows()
    # A run that diverged keeps no model, and its rows have no numbers that could change.
    kept["rows"] = [
        rows[name] | {"codes": min(engine.sweep.settings.codes, len(splits[name[-1]]))}
        for name in row_names([run for run in runs if run.label not in sums])
    ]
    if not sums:
        return kept
    path = chunks.directory.path
    if (begun := reading.read_staged(path, files.chunk, [files.sweep_id], ROWS)) is not None:
        kept = {name: begun[0][name] for name in kept}
    tests = [rows[name] for name in row_names(runs)[1::2]]
    ended = {
        run: Outcome(row["beta"], None, None, row["selected_step"])
        for run, row in zip(runs, tests, strict=True)
    }
    models = kept_models(path, engine, runs, sums)
    chunks.store(
        measure_chunk(engine, files.chunk, models, ended, kept["rows"]), engine, files, kept
    )
    return kept


def _check_kept(files: ChunkFiles) -> None:
    stored = files.read(RESULT)
    if stored is None:
        raise reading.unfinished(files.run_dir)
    values, _ = stored
    labels = {
        RunId(row["beta"], row["seed"], row["target_rate"]).label
        for row in values["rows"]
        if row["status"] != "diverged"
    }
    if missing := labels - values.get("models", {}).keys():
        raise RunDirectoryError(
            f"{files.run_dir}: the model of {min(missing)} was not kept (--keep-models none, or an"
            " older version): sweep in another directory to measure it otherwise."
        )
