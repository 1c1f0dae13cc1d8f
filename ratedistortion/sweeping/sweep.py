"""One sweep, from settings to a table: prepare, train, measure and store, chunk by chunk."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ratedistortion import datasets, events
from ratedistortion.datasets import Dataset
from ratedistortion.engine.engine import Block, Engine, MeasuredRun, leaves
from ratedistortion.engine.plan import RunId, Sweep, make_plan
from ratedistortion.errors import Interrupted, OutOfMemoryError, Stopped
from ratedistortion.measuring.pictures import PICTURES
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.settings import Settings
from ratedistortion.sweeping.chunk import ChunkResult, run_chunk
from ratedistortion.sweeping.manifest import Manifest
from ratedistortion.sweeping.preparation import prepare
from ratedistortion.sweeping.rows import row_name, row_names

if TYPE_CHECKING:
    import pandas

_CHECKPOINT_SECONDS = 30.0

StoredChunk = tuple[dict[str, Any], dict[str, np.ndarray]]


def sweep(
    settings: Settings,
    directory: RunDirectory,
    report: events.Report,
    stop_signal: Callable[[], str | None],
) -> "pandas.DataFrame":
    """Carries out a sweep in a run directory, or what is left of one.

    Args:
        settings: What to do; the directory's manifest, if there is one, agrees with it.
        directory: Held by this process.
        report: Told of every event.
        stop_signal: Asked between dispatches; the name of a signal that came ends the sweep with
            a checkpoint.

    Returns:
        The table, with `attrs["summary"]` added.

    Raises:
        Stopped: If a signal came; `Interrupted` for SIGINT.
        OutOfMemoryError: If even half of the runs at once do not fit in memory.
    """
    began = time.perf_counter()
    data = datasets.load(settings)
    report(read := events.DataRead(data.description))
    manifest = Manifest.read(directory.path)
    engine, devices = prepare(settings, data, manifest, report)
    if manifest is None:
        manifest = Manifest.make(directory.path, engine.sweep, devices)
        directory.write_manifest(manifest.values)
    if not (directory.path / reading.DATA).exists():
        directory.write_arrays(reading.DATA, data.preview())

    def emit(event: events.Event) -> None:
        if (line := events.as_logged(event)) is not None:
            directory.log(line)
        report(event)

    directory.log(events.as_logged(read) or {})
    chunks = _Chunks(directory, emit, stop_signal)
    results = chunks.compute(engine)
    if results is None:
        width = engine.sweep.plan.width
        engine = _narrower(engine, directory, devices)
        plan = engine.sweep.plan
        manifest = manifest.with_plan(plan)
        directory.write_manifest(manifest.values)
        emit(events.Warned(f"out of memory with {width} runs at once: going on with {plan.width}."))
        results = chunks.compute(engine)
        if results is None:
            raise _does_not_fit(plan.width)

    # pandas and pyarrow take a third of a second to import, so they come after training.
    from ratedistortion.sweeping.summary import finished
    from ratedistortion.table import parquet

    rows = [row for result, _ in results for row in result["rows"]]
    directory.write_arrays(reading.IMAGES, _all_pictures(data, results))
    directory.write_table(parquet.write(rows, manifest.metadata()))
    times = events.Finished(
        seconds=time.perf_counter() - began,
        compile_seconds=engine.compile_seconds,
        train_seconds=chunks.train_seconds,
        measure_seconds=chunks.measure_seconds,
        model_steps_per_second=chunks.model_steps / max(chunks.train_seconds, 1e-9),
    )
    emit(times)
    return finished(manifest, times._asdict())


@dataclasses.dataclass
class _Chunks:
    """Computes the chunks that a directory lacks, and sums what that takes."""

    directory: RunDirectory
    emit: events.Report
    stop_signal: Callable[[], str | None]
    model_steps: int = 0
    train_seconds: float = 0.0
    measure_seconds: float = 0.0

    def compute(self, engine: Engine) -> list[StoredChunk] | None:
        """The stored results of all chunks, or None if training does not fit in memory."""
        sweep = engine.sweep
        grid = sweep.settings.target_rates or sweep.settings.betas
        self.emit(
            events.Planned(
                runs=len(sweep.runs),
                steps=engine.steps,
                grid="target rate" if sweep.settings.target_rates else "beta",
                lowest=min(grid),
                highest=max(grid),
                **dataclasses.asdict(sweep.plan),
            )
        )
        results = []
        for chunk in range(sweep.plan.chunks):
            result = self.directory.read_result(chunk)
            if result is None:
                if not self._one_chunk(engine, chunk):
                    return None
                result = self.directory.read_result(chunk)
            assert result is not None
            if not _belongs(result, sweep.chunk(chunk), sweep.data):
                raise self.directory.foreign_result(chunk)
            results.append(result)
        return results

    def _one_chunk(self, engine: Engine, chunk: int) -> bool:
        """Computes and stores a chunk; False if training it does not fit in memory."""
        directory, settings = self.directory, engine.sweep.settings
        saved = directory.read_state(chunk)
        if saved and not engine.continues(*saved):
            raise directory.foreign_state(chunk)
        saved_at, result = time.monotonic(), None
        for part in run_chunk(engine, chunk, saved):
            if isinstance(part, Block):
                stopping, now = self.stop_signal(), time.monotonic()
                late = now - saved_at > _CHECKPOINT_SECONDS
                if stopping or late or part.steps == engine.steps:
                    directory.write_state(chunk, part.steps, leaves(part.state))
                    saved_at = now
                self._stop(stopping)
            elif isinstance(part, MeasuredRun):
                if settings.save_posteriors:
                    data = engine.sweep.data
                    arrays = part.codes._asdict()
                    arrays["data"] = data.in_own_units(
                        data.splits[part.split] * np.float32(data.scale)
                    )
                    name = f"{part.run.label},split={part.split}.npz"
                    directory.write_arrays(f"posteriors/{name}", arrays)
                self._stop(self.stop_signal())
            elif isinstance(part, ChunkResult):
                result = part
            else:
                self.emit(part)
        if result is None:
            return False
        directory.write_result(chunk, {"rows": result.rows}, result.pictures)
        self.model_steps += result.model_steps
        self.train_seconds += result.train_seconds
        self.measure_seconds += result.measure_seconds
        self.emit(events.ChunkDone(chunk, result.train_seconds, result.measure_seconds))
        return True

    def _stop(self, signal: str | None) -> None:
        if signal:
            kind = Interrupted if signal == "SIGINT" else Stopped
            continues = reading.command(self.directory.path)
            raise kind(f"stopped by {signal} with a checkpoint; `{continues}` continues.")


def _narrower(engine: Engine, directory: RunDirectory, devices: list[Any]) -> Engine:
    """An engine of half the width, unless there is a result or only one run at once."""
    old = engine.sweep
    width = old.plan.width
    if width == 1 or directory.read_result(0) is not None:
        raise _does_not_fit(width)
    directory.remove_state(0)
    half = dataclasses.replace(old.settings, runs_at_once=width // 2)
    plan = make_plan(half, devices[0].platform, len(devices), 1, width)
    plan = dataclasses.replace(plan, batching=old.plan.batching)
    return Engine(Sweep(old.settings, old.data, plan), devices)


def _does_not_fit(width: int) -> OutOfMemoryError:
    what = "one run" if width == 1 else f"{width} runs at once"
    return OutOfMemoryError(
        f"{what} did not fit in memory: free some and run the same command again, or use another"
        " directory and lower runs_at_once, hidden, latents or batch_size."
    )


def _belongs(result: StoredChunk, runs: Sequence[RunId], data: Dataset) -> bool:
    """Whether a stored result is that of these runs on data of this shape."""
    values, pictures = result
    try:
        rows = [row_name(row) for row in values["rows"]]
        shapes = [pictures[name].shape for name in ("reconstructions", "samples")]
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    fits = all(shape[:1] + shape[2:] == (len(runs), *data.shape) for shape in shapes)
    return rows == row_names(runs) and fits


def _all_pictures(data: Dataset, results: list[StoredChunk]) -> dict[str, np.ndarray]:
    originals = data.in_own_units(data.splits["test"][:PICTURES] * np.float32(data.scale))
    chunks = [pictures for _, pictures in results]
    runs = [row for values, _ in results for row in values["rows"] if row["split"] == "test"]
    return {
        "originals": originals.reshape(-1, *data.shape),
        **{
            name: data.in_own_units(np.concatenate([chunk[name] for chunk in chunks]))
            for name in chunks[0]
        },
        "beta": np.array([row["beta"] for row in runs]),
        "target_rate": np.array([row["target_rate"] for row in runs], float),  # nan for None
        "seed": np.array([row["seed"] for row in runs]),
    }
