"""What anybody may read of a run directory, without holding it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ratedistortion.errors import RunDirectoryError, SettingsError
from ratedistortion.run_directory.sealed import read_sealed, sha256
from ratedistortion.table.identity import run_key
from ratedistortion.untrusted import damaged, parse_arrays, parse_object, read_file

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


def read_images(path: Path, written: str | None = None) -> dict[str, np.ndarray]:
    """The pictures of every run: `originals`, `reconstructions`, `samples`, `beta`, `seed`.

    Args:
        path: The run directory.
        written: The SHA-256 that the table has of the file; None in tables of older versions.

    Returns:
        Name -> array, as the gallery takes them.

    Raises:
        RunDirectoryError: If they are missing or damaged.
    """
    file = path / IMAGES
    if not (path / MANIFEST).exists():
        raise SettingsError(f"{path}: it has no pictures: it is no run directory of rd-sweep.")
    remedy = f"restore it, or delete it and {TABLE} and run `{command(path)}` to have both again"
    images = _read_arrays(file, written, remedy)
    try:
        originals = images["originals"]
        runs = [images[name] for name in ("reconstructions", "samples", "beta", "seed")]
        fits = (
            {array.dtype.kind for array in (originals, *runs)} <= set("fiu")
            and len({len(array) for array in runs}) == 1
            and {originals.shape[1:]} == {array.shape[2:] for array in runs[:2]}
        )
    except (KeyError, TypeError) as error:
        raise damaged(file, error, remedy) from error
    if not fits:
        raise damaged(file, "its arrays do not fit together", remedy)
    return images


def read_data(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """What a sweep read: the arrays of `Dataset.preview`, and the line that describes them.

    Args:
        path: The run directory; the sweep need not be finished.

    Raises:
        RunDirectoryError: If they are missing, as in a directory of 0.1.0, or damaged.
        SettingsError: If the folder is no run directory.
    """
    manifest, file = read_manifest(path), path / DATA
    if manifest is None:
        raise SettingsError(f"{path}: not a run directory: it has no {MANIFEST}.")
    remedy = "restore it; a new sweep has it from the start"
    preview = parse_arrays(file, read_file(file, remedy), remedy)
    names = ("train", "test", "edges", "train_counts", "test_counts", "mean")
    if not all(name in preview and preview[name].dtype.kind in "fiu" for name in names) or (
        preview["train"].ndim not in (2, 4)
        or {preview[name].shape[1:] for name in ("train", "test")} != {preview["mean"].shape}
        or any(
            len(preview["edges"]) != len(counts) + 1 or not counts.sum() > 0
            for counts in (preview["train_counts"], preview["test_counts"])
        )
    ):
        raise damaged(file, "its arrays do not fit together", remedy)
    return preview, str(manifest.get("data", ""))


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


def read_posteriors(path: Path) -> dict[str, np.ndarray]:
    """What `--save-posteriors` has kept of a run and a split.

    Args:
        path: A file in the folder `posteriors` of a run directory.

    Returns:
        Name -> array, as the command's guide lists them.

    Raises:
        RunDirectoryError: If the file is not as the sweep wrote it.
    """
    run_dir = path.parent.parent
    sums = {name: s for result in read_results(run_dir) for name, s in result["posteriors"].items()}
    return _read_arrays(path, sums.get(path.name), "restore it, or sweep again")


def _read_arrays(path: Path, written: str | None, remedy: str) -> dict[str, np.ndarray]:
    """Arrays of a file whose SHA-256 is kept elsewhere, or None where it is not kept."""
    return parse_arrays(path, read_checked(path, written, remedy), remedy)


def read_checked(path: Path, written: str | None, remedy: str) -> bytes:
    """The content of a file whose checksum is kept elsewhere.

    Args:
        path: The file.
        written: Its SHA-256; None where nobody knows it.
        remedy: What to do if it is damaged, as the end of a sentence.

    Raises:
        RunDirectoryError: If it cannot be read, or is not as it was written.
    """
    data = read_file(path, remedy)
    if written is not None and sha256(data) != written:
        raise damaged(path, "its SHA-256 differs", remedy)
    return data


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
