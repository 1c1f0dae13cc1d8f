"""The chunks of a sweep, computed one after another and stored in its run directory."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ratedistortion import events
from ratedistortion.datasets import Dataset
from ratedistortion.engine.engine import Block, Engine, leaves
from ratedistortion.engine.plan import RunId, Sweep, make_plan
from ratedistortion.errors import Interrupted, OutOfMemoryError, Stopped
from ratedistortion.models.families import own_options
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.run_directory.reading import RESULT, ROWS, STATE, ChunkFiles, StoredChunk
from ratedistortion.settings import Settings, code
from ratedistortion.sweeping.chunk import ChunkResult, MeasuredRow, run_chunk
from ratedistortion.sweeping.kept_models import keep_models
from ratedistortion.sweeping.manifest import Manifest, Part
from ratedistortion.sweeping.surroundings import surroundings
from ratedistortion.untrusted import damaged

_CHECKPOINT_SECONDS = 30.0


@dataclasses.dataclass
class Chunks:
    """Computes the chunks that a directory lacks, and sums what that takes."""

    directory: RunDirectory
    data: Dataset
    devices: list[Any]
    emit: events.Report
    stop_signal: Callable[[], str | None]
    keep_models: str
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
        for chunk in part.numbers:
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
            for name in (ROWS, STATE):  # a crash may have left them, and they are large
                self.directory.remove(files.path(name))
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
        saved, kept = None, new_rows()
        if (state := files.read(STATE)) is not None:
            values, arrays = state
            saved = values["steps"], [arrays[f"leaf{n}"] for n in range(len(arrays))]
            if not engine.continues(*saved):
                path = files.path(STATE)
                remedy = f"delete {path} to have it computed again"
                raise damaged(path, "it does not fit the model", remedy)
            if saved[0] == engine.steps and (measured := files.read(ROWS)) is not None:
                kept = {name: measured[0][name] for name in kept}
        work = run_chunk(engine, files.chunk, runs, saved, kept["rows"])
        result = self.store(work, engine, files, kept)
        if result is None:
            return False
        kept |= {"rows": result.rows, "losses": [loss._asdict() for loss in result.losses]}
        if self.keep_models == "all":
            kept["models"] = keep_models(self.directory, engine, files, runs, result)
        values = kept | {"surroundings": surroundings(self.devices)}
        self.directory.write_chunk(files, RESULT, values, result.pictures)
        self.model_steps += result.model_steps
        self.train_seconds += result.train_seconds
        self.measure_seconds += result.measure_seconds
        self.emit(events.ChunkDone(files.chunk, result.train_seconds, result.measure_seconds))
        return True

    def store(
        self,
        work: Iterable[events.Event | Block | MeasuredRow | ChunkResult],
        engine: Engine,
        files: ChunkFiles,
        kept: dict[str, Any],
    ) -> ChunkResult | None:
        """Stores what a chunk comes to, piece by piece, and reports its events.

        Args:
            work: What `run_chunk` or `measure_chunk` yields.
            engine: Of the chunk.
            files: Where checkpoints and rows are written. Posteriors come beside their `chunks`.
            kept: As `new_rows`, with what is measured already; it gets what is measured here.

        Returns:
            The result, if there is one.

        Raises:
            Stopped: If a signal came; what is done by then is stored.
        """
        saved_at, result = time.monotonic(), None
        for event in work:
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
                    self.directory.write_chunk(files, STATE, {"steps": event.steps}, arrays)
                    saved_at = now
                self._stop(stopping, files, engine.sweep.settings)
            else:
                if engine.sweep.settings.save_posteriors:
                    kept["posteriors"] |= self._keep_posteriors(engine, event, files)
                kept["rows"] = event.rows
                if due:
                    self.directory.write_chunk(files, ROWS, kept)
                    saved_at = now
                self._stop(stopping, files, engine.sweep.settings)
        return result

    def _keep_posteriors(
        self, engine: Engine, event: MeasuredRow, files: ChunkFiles
    ) -> dict[str, str]:
        """Stores the posteriors of a run on a split; returns the file's name and SHA-256."""
        measured = event.measured
        arrays = measured.codes._asdict()
        arrays |= arrays.pop("prior")
        if engine.information_kind != "exact":
            arrays["flow"] = np.array(True)  # the posteriors are not these Gaussians
        arrays["likelihood"] = np.array(code.shown(engine.sweep.settings.likelihood))
        if np.isfinite(scale := measured.measurement.likelihood_scale):
            arrays["likelihood_scale"] = scale
        images = self.data.splits[measured.split] * np.float32(self.data.scale)
        arrays["data"] = self.data.in_own_units(images)
        name = f"{measured.run.label},split={measured.split}.npz"
        path = files.run_dir / reading.POSTERIORS / name
        file = str(path.relative_to(self.directory.path))
        return {name: self.directory.write_arrays(file, arrays)}

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

    def _stop(self, signal: str | None, files: ChunkFiles, settings: Settings) -> None:
        if signal:
            kind = Interrupted if signal == "SIGINT" else Stopped
            path, continues = self.directory.path, "the same command"
            if files.run_dir == path:
                continues = f"`{reading.command(path)}{own_options(settings)}`"
            raise kind(f"stopped by {signal} with a checkpoint; {continues} continues.")


def new_rows() -> dict[str, Any]:
    """What is measured of a chunk before it is begun: rows, and posteriors (file -> SHA-256)."""
    return {"rows": [], "posteriors": {}}


def _does_not_fit(width: int) -> OutOfMemoryError:
    what = "one run" if width == 1 else f"{width} runs at once"
    return OutOfMemoryError(
        f"{what} did not fit in memory: free some and run the same command again, or use another"
        " directory and lower runs_at_once, hidden, latents or batch_size."
    )
