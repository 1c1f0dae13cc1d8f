"""What anybody may read of a run directory without holding it: manifest, results and table."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ratedistortion.errors import RunDirectoryError, SettingsError
from ratedistortion.run_directory.sealed import read_sealed
from ratedistortion.table.identity import run_key
from ratedistortion.untrusted import damaged, parse_object, read_file

if TYPE_CHECKING:
    import pandas

# Version of the manifest. It rises by one whenever training or measuring changes the numbers or
# the files.
MANIFEST_VERSION = 4
_SEALED_SINCE = 4  # the first version whose files have a checksum over all of them
MANIFEST, TABLE, IMAGES, LOG = "manifest.json", "rd.parquet", "images.npz", "log.jsonl"
DATA, POSTERIORS, MODELS = "data.npz", "posteriors", "models"
# Results of measuring again, until all are there: a folder that mirrors the run directory.
REMEASURED = "remeasured"
# The values and the arrays of a file of a chunk.
StoredChunk = tuple[dict[str, Any], dict[str, np.ndarray]]
# Files of a chunk: its checkpoint, rows that are measured so far, and all that it came to.
STATE, ROWS, RESULT = "state", "rows", "result"
_MANIFEST_FIELDS = {
    "schema": int,
    "settings": dict,
    "parts": list,
    "versions": dict,
    "device": str,
    "data_sha256": str,
}

_RESULT_FIELDS = {"rows": list, "losses": list, "posteriors": dict, "models": dict}


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a run directory, or None where there is none yet.

    Args:
        path: The run directory.

    Returns:
        Name -> value, with every field of this version.

    Raises:
        RunDirectoryError: If it is damaged or of a newer version.
        SettingsError: If there can be no directory of that name.
    """
    file, remedy = path / MANIFEST, "restore it, or use another directory"
    try:
        if not file.exists():
            return None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be used: {error.strerror}.") from error
    manifest = parse_object(file, read_file(file, remedy), remedy)
    schema = manifest.get("schema")
    if isinstance(schema, int) and schema > MANIFEST_VERSION:
        raise RunDirectoryError(
            f"{file} has schema version {schema} and this program reads versions up to"
            f" {MANIFEST_VERSION}: upgrade ratedistortion."
        )
    if isinstance(schema, int) and schema < _SEALED_SINCE and "sha256" not in manifest:
        manifest["parts"] = [{"plan": manifest.get("plan", {})}]
    else:
        manifest, _ = read_sealed(file, remedy)
    for name, kind in _MANIFEST_FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise damaged(file, f"no {name}", remedy)
    return manifest


class ChunkFiles(NamedTuple):
    """Where the files of a chunk are, and what they must belong to.

    Attributes:
        run_dir: The run directory.
        chunk: Its number, from 0.
        sweep_id: A hash of all that decides its numbers.
    """

    run_dir: Path
    chunk: int
    sweep_id: str

    def path(self, name: str) -> Path:
        """The path of one of its files.

        Args:
            name: `STATE`, `ROWS` or `RESULT`.
        """
        return self.run_dir / "chunks" / f"{self.chunk:04d}" / name

    @property
    def owner(self) -> dict[str, Any]:
        """What every file of the chunk says of itself."""
        return {"sweep": self.sweep_id, "chunk": self.chunk}

    def read(self, name: str) -> StoredChunk | None:
        """What one of its files holds.

        Args:
            name: `STATE` (a checkpoint), `ROWS` (measured so far) or `RESULT` (the chunk is done).

        Returns:
            Values and arrays, as `RunDirectory.write_chunk` got them; None if it is not there.

        Raises:
            RunDirectoryError: If it is damaged, or of another sweep or chunk.
        """
        path = self.path(name)
        remedy = f"restore it, or delete {path} to have it computed again"
        return read_sealed(path, remedy, **self.owner) if path.exists() else None


def read_table(path: Path) -> "pandas.DataFrame":
    """The table of a finished run directory, in nats.

    Args:
        path: The run directory.

    Returns:
        As of `ratedistortion.table.parquet.read`.

    Raises:
        RunDirectoryError: If the sweep is not finished, or the table is damaged.
        SettingsError: If the folder is no run directory.
    """
    from ratedistortion.table import parquet

    if (path / TABLE).exists():
        return parquet.read(path / TABLE)
    if (path / MANIFEST).exists():
        raise unfinished(path)
    raise SettingsError(f"{path}: not a run directory: it has neither {MANIFEST} nor {TABLE}.")


def read_results(path: Path) -> list[dict[str, Any]]:
    """What the chunks came to that are done, without their pictures.

    Args:
        path: The run directory.

    Returns:
        One mapping a chunk, in their order: `rows` of the table, `losses` (curves of training, as
        `events.Loss` has them), `posteriors` (file -> SHA-256), `models` (label of the run ->
        SHA-256) and `surroundings`.

    Raises:
        RunDirectoryError: If the manifest or a result is damaged, or a result is of another sweep.
    """
    parts = (read_manifest(path) or {"parts": []})["parts"]
    sweeps = [part.get("sweep") for part in parts if isinstance(part, dict)]
    results = []
    for file in sorted(path.glob(f"chunks/[0-9]*[0-9]/{RESULT}")):
        remedy = f"restore it, or delete {file} to have it computed again"
        chunk = int(file.parent.name)
        values, _ = read_sealed(file, remedy, chunk=chunk)
        if values.get("sweep") not in sweeps:
            # All is measured again, and this file was to be replaced when the sweep was stopped.
            if (staged := read_staged(path, chunk, sweeps)) is None:
                raise damaged(file, "it belongs to another sweep", remedy)
            values, _ = staged
        values.setdefault("models", {})  # of an older version, or with --keep-models none
        if any(type(values.get(name)) is not kind for name, kind in _RESULT_FIELDS.items()):
            raise damaged(file, f"its fields are not {', '.join(_RESULT_FIELDS)}", remedy)
        results.append(values)
    return results


def read_staged(
    path: Path, chunk: int, sweeps: Sequence[str | None], name: str = RESULT
) -> StoredChunk | None:
    """What a chunk came to when it was measured again, as long as it is not in its place.

    Args:
        path: The run directory.
        chunk: Its number.
        sweeps: What it may belong to.
        name: `RESULT`, or `ROWS` where it is not done yet.

    Returns:
        Values and arrays; None if there is none, or it belongs to another sweep.

    Raises:
        RunDirectoryError: If it is damaged.
    """
    file = ChunkFiles(path / REMEASURED, chunk, "").path(name)
    if not file.exists():
        return None
    remedy = f"delete {file} and run `{command(path)} --remeasure` with the same options again"
    found = read_sealed(file, remedy, chunk=chunk)
    return found if found[0]["sweep"] in sweeps else None


def read_losses(path: Path) -> list[dict[str, Any]]:
    """The loss curve of every run that is done, as `events.Loss` has it.

    Args:
        path: The run directory.

    Returns:
        One mapping a run, ordered by beta or target rate, then seed; R and D in nats per image.

    Raises:
        RunDirectoryError: As of `read_results`.
    """
    losses = [loss for result in read_results(path) for loss in result["losses"]]
    try:
        return sorted(losses, key=run_key)
    except (TypeError, KeyError, AttributeError) as error:
        raise damaged(path / "chunks", "its losses are of no run", "restore it") from error


def unfinished(path: Path) -> RunDirectoryError:
    """What to raise where a sweep has no table yet.

    Args:
        path: The run directory.

    Returns:
        The error, for the caller to raise.
    """
    return RunDirectoryError(
        f"{path}: the sweep is not finished: run `{command(path)}` to continue it."
    )


def command(path: Path) -> str:
    """The command that continues a run directory, as it can be pasted.

    Args:
        path: The run directory.

    Returns:
        One line for a shell.
    """
    return f"rd-sweep {shlex.quote(str(path))}"
