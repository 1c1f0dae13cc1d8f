"""The models of a chunk as files: written when it is done, read to be measured again."""

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from ratedistortion.engine.engine import Engine
from ratedistortion.engine.plan import RunId
from ratedistortion.models.autoencoder import Model
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.run_directory.model_files import model_path, read_model
from ratedistortion.run_directory.reading import ChunkFiles
from ratedistortion.sweeping.chunk import ChunkResult
from ratedistortion.untrusted import damaged


def keep_models(
    directory: RunDirectory,
    engine: Engine,
    files: ChunkFiles,
    runs: Sequence[RunId],
    result: ChunkResult,
) -> dict[str, str]:
    """Stores the parameters that the rows of a chunk were measured with.

    Args:
        directory: Held by this process.
        engine: Of the chunk.
        files: Those of the chunk.
        runs: Its runs.
        result: What they came to. A run that diverged on both splits keeps nothing.

    Returns:
        Label of the run -> SHA-256 of its file.
    """
    sweep, sums = engine.sweep, {}
    same = {
        "version": metadata.version("ratedistortion"),
        "settings": sweep.settings.as_json(),
        "sweep": files.sweep_id,
        "shape": sweep.data.shape,
        "range": sweep.data.range,
        "data": sweep.data.description,
        "data_sha256": sweep.data.sha256,
    }
    units = {"data.centre": sweep.data.centre, "data.spread": sweep.data.spread}
    units = {name: array for name, array in units.items() if array is not None}
    for n, run in enumerate(runs):
        train, test = result.rows[2 * n : 2 * n + 2]
        if train["status"] == test["status"] == "diverged":
            continue
        names = ("beta", "seed", "target_rate", "steps", "selected_step")
        facts = {name: test[name] for name in names} | same
        parameters = {name: leaf[n] for name, leaf in result.parameters.items()} | units
        sums[run.label] = directory.write_model(run.label, parameters, facts)
    return sums


def kept_models(
    path: Path, engine: Engine, runs: Sequence[RunId], sums: Mapping[str, str]
) -> Model:
    """The models of a chunk on the devices.

    Args:
        path: The run directory.
        engine: Of the chunk.
        runs: Its runs.
        sums: What `keep_models` returned of them, at least one. A run without a model gets a copy
            of another run's; what is computed of it is not used.

    Raises:
        RunDirectoryError: If a file is missing, damaged or of another model.
    """
    found: dict[str, Mapping[str, np.ndarray]] = {}
    for run in runs:
        if run.label in sums:
            file = model_path(path, run.label)
            remedy = "restore it: without it nothing of this chunk can be measured again"
            found[run.label], _ = read_model(file, sums[run.label], remedy)
    some = next(iter(found.values()))
    try:
        return engine.models_of([found.get(run.label, some) for run in runs])
    except ValueError as error:
        raise damaged(path / "models", error, "restore the files of its sweep") from error
