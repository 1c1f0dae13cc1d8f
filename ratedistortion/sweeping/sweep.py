"""One sweep, from settings to a table: prepare, train, measure and store, chunk by chunk."""

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ratedistortion import datasets, events
from ratedistortion.datasets import Dataset
from ratedistortion.engine.engine import Block, Engine, leaves
from ratedistortion.engine.plan import RunId, Sweep, all_runs, make_plan
from ratedistortion.errors import Interrupted, OutOfMemoryError, Stopped
from ratedistortion.measuring.pictures import PICTURES
from ratedistortion.models.families import own_options
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.run_directory.reading import RESULT, ROWS, STATE, ChunkFiles, StoredChunk
from ratedistortion.settings import Settings
from ratedistortion.sweeping.chunk import ChunkResult, MeasuredRow, run_chunk
from ratedistortion.sweeping.manifest import Manifest, Part, surroundings
from ratedistortion.sweeping.preparation import prepare
from ratedistortion.table.identity import row_name, row_names
from ratedistortion.untrusted import damaged

if TYPE_CHECKING:
    import pandas

_CHECKPOINT_SECONDS = 30.0


def sweep(
    settings: Settings,
    directory: RunDirectory,
    report: events.Report,
    stop_signal: Callable[[], str | None],
) -> "pandas.DataFrame":
    """Carries out a sweep in a run directory, or what is left of one.

    Args:
        settings: What to do. The directory's manifest, if there is one, agrees with it, but may
            lack points of the grid, which are then added.
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
    chunks = _Chunks(directory, data, devices, emit, stop_signal)
    manifest, results = chunks.compute(manifest, engine)

    # pandas and pyarrow take a third of a second to import, so they come after training.
    from ratedistortion.sweeping.summary import finished
    from ratedistortion.table import parquet

    rows, images = _in_order(settings, data, results)
    made_with = [result["surroundings"] for result, _ in results]
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


@dataclasses.dataclass
class _Chunks:
    """Computes the chunks that a directory lacks, and sums what that takes."""

    directory: RunDirectory
    data: Dataset
    devices: list[Any]
    emit: events.Report
    stop_signal: Callable[[], str | None]
    model_steps: int = 0
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    measure_seconds: float = 0.0

    def compute(
        self, manifest: Manifest, engine: Engine | None
    ) -> tuple[Manifest, list[StoredChunk]]:
        """The results of all chunks, and the manifest, whose last plan may have become narrower.

        Args:
            manifest: Of the directory.
            engine: Of its last part, if that is made already.
        """
        *before, last = manifest.parts()
        results = []
        for part in before:
            found = self._of_part(manifest, part, None)
            if found is None:
                raise _does_not_fit(part.plan.width)
            results += found
        found = self._of_part(manifest, last, engine)
        if found is None:
            manifest, engine = self._narrower(manifest, last)
            last = manifest.parts()[-1]
            found = self._of_part(manifest, last, engine)
        if found is None:
            raise _does_not_fit(last.plan.width)
        return manifest, results + found

    def _of_part(
        self, manifest: Manifest, part: Part, engine: Engine | None
    ) -> list[StoredChunk] | None:
        """The results of the chunks of a part, or None if training does not fit in memory."""
        results, told = [], False
        for chunk in range(part.first, part.first + part.plan.chunks):
            files = ChunkFiles(self.directory.path, chunk, part.sweep_id)
            result = files.read(RESULT)
            if result is None:
                if engine is None:
                    self.emit(events.Compiling("training"))
                    sweep = Sweep(manifest.settings, self.data, part.plan, part.runs)
                    engine = Engine(sweep, self.devices)
                if not told:
                    self._tell_plan(engine, part)
                    told = True
                runs = part.plan.chunk(part.runs, chunk - part.first)
                if not self._one_chunk(engine, files, runs):
                    return None
                result = files.read(RESULT)
                assert result is not None
            results.append(result)
        self.compile_seconds += engine.compile_seconds if engine else 0.0
        return results

    def _tell_plan(self, engine: Engine, part: Part) -> None:
        grid = [run.beta if run.target_rate is None else run.target_rate for run in part.runs]
        plan: dict[str, Any] = dataclasses.asdict(part.plan)
        plan["chunks"] += part.first
        targets = part.runs[0].target_rate is not None
        self.emit(
            events.Planned(
                runs=len(part.runs),
                steps=engine.steps,
                grid="target rate" if targets else "beta",
                lowest=min(grid),
                highest=max(grid),
                **plan,
            )
        )

    def _one_chunk(self, engine: Engine, files: ChunkFiles, runs: tuple[RunId, ...]) -> bool:
        """Computes and stores a chunk; False if training it does not fit in memory."""
        directory, saved = self.directory, None
        kept: dict[str, Any] = {"rows": [], "posteriors": {}}
        if (state := files.read(STATE)) is not None:
            values, arrays = state
            saved = values["steps"], [arrays[f"leaf{n}"] for n in range(len(arrays))]
            if not engine.continues(*saved):
                path = files.path(STATE)
                remedy = f"delete {path} to have it computed again"
                raise damaged(path, "it does not fit the model", remedy)
            if saved[0] == engine.steps and (measured := files.read(ROWS)) is not None:
                kept = {name: measured[0][name] for name in kept}
        saved_at, result = time.monotonic(), None
        for event in run_chunk(engine, files.chunk, runs, saved, kept["rows"]):
            if not isinstance(event, Block | MeasuredRow | ChunkResult):
                self.emit(event)
                continue
            stopping, now = self.stop_signal(), time.monotonic()
            due = stopping or now - saved_at > _CHECKPOINT_SECONDS
            if isinstance(event, ChunkResult):
                result = event
            elif isinstance(event, Block):
                if due or event.steps == engine.steps:
                    arrays = {f"leaf{n}": leaf for n, leaf in enumerate(leaves(event.state))}
                    directory.write_chunk(files, STATE, {"steps": event.steps}, arrays)
                    saved_at = now
                self._stop(stopping, engine.sweep.settings)
            else:
                if engine.sweep.settings.save_posteriors:
                    kept["posteriors"] |= self._keep_posteriors(engine, event)
                kept["rows"] = event.rows
                if due:
                    directory.write_chunk(files, ROWS, kept)
                    saved_at = now
                self._stop(stopping, engine.sweep.settings)
        if result is None:
            return False
        kept |= {"rows": result.rows, "losses": [loss._asdict() for loss in result.losses]}
        values = kept | {"surroundings": surroundings(self.devices)}
        directory.write_chunk(files, RESULT, values, result.pictures)
        directory.remove(files.path(ROWS))
        self.model_steps += result.model_steps
        self.train_seconds += result.train_seconds
        self.measure_seconds += result.measure_seconds
        self.emit(events.ChunkDone(files.chunk, result.train_seconds, result.measure_seconds))
        return True

    def _keep_posteriors(self, engine: Engine, event: MeasuredRow) -> dict[str, str]:
        """Stores the posteriors of a run on a split; returns the file's name and SHA-256."""
        measured = event.measured
        arrays = measured.codes._asdict()
        arrays |= arrays.pop("prior")
        if engine.information_kind != "exact":
            arrays["flow"] = np.array(True)  # the posteriors are not these Gaussians
        images = self.data.splits[measured.split] * np.float32(self.data.scale)
        arrays["data"] = self.data.in_own_units(images)
        name = f"{measured.run.label},split={measured.split}.npz"
        return {name: self.directory.write_arrays(f"{reading.POSTERIORS}/{name}", arrays)}

    def _narrower(self, manifest: Manifest, part: Part) -> tuple[Manifest, Engine]:
        """The manifest and an engine of half the width; not if there is a result of the part."""
        width = part.plan.width
        files = ChunkFiles(self.directory.path, part.first, part.sweep_id)
        if width == 1 or files.read(RESULT) is not None:
            raise _does_not_fit(width)
        self.directory.remove(files.path(STATE))
        half = dataclasses.replace(manifest.settings, runs_at_once=width // 2)
        platform = self.devices[0].platform
        plan = make_plan(half, len(part.runs), platform, len(self.devices), 1, width)
        plan = dataclasses.replace(plan, batching=part.plan.batching)
        engine = Engine(Sweep(manifest.settings, self.data, plan, part.runs), self.devices)
        manifest = manifest.with_part(part.runs, plan)
        self.directory.write_manifest(manifest.values)
        text = f"out of memory with {width} runs at once: going on with {plan.width}."
        self.emit(events.Warned(text))
        return manifest, engine

    def _stop(self, signal: str | None, settings: Settings) -> None:
        if signal:
            kind = Interrupted if signal == "SIGINT" else Stopped
            continues = reading.command(self.directory.path) + own_options(settings)
            raise kind(f"stopped by {signal} with a checkpoint; `{continues}` continues.")


def _does_not_fit(width: int) -> OutOfMemoryError:
    what = "one run" if width == 1 else f"{width} runs at once"
    return OutOfMemoryError(
        f"{what} did not fit in memory: free some and run the same command again, or use another"
        " directory and lower runs_at_once, hidden, latents or batch_size."
    )


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
