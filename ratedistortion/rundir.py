"""The run directory: lock, manifest, log, checkpoints, results. Nothing in it is ever unpickled."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np

from ratedistortion.errors import LockedError, RunDirectoryError, SettingsError
from ratedistortion.files import write_file

if TYPE_CHECKING:
    import pandas

MANIFEST, TABLE, IMAGES, LOG = "manifest.json", "rd.parquet", "images.npz", "log.jsonl"
_RESULT, _STATE, _SUMS, _DONE = "result.json", "state.npz", "SHA256SUMS", "DONE"
_DAMAGED = "it is damaged; restore it, or delete it to have it computed again"


class RunDirectory:
    """A run directory that this process holds; to be used in a `with` statement.

    Args:
        path: Created if it does not exist.

    Raises:
        LockedError: If another process holds it.
        RunDirectoryError: If it is a folder with other things in it.
        SettingsError: If it cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir() and not (path / MANIFEST).exists():
            if foreign := [p.name for p in path.iterdir() if p.name not in (".lock", LOG)]:
                raise RunDirectoryError(
                    f"{path} is not a run directory: it has no {MANIFEST} but holds {foreign[0]!r};"
                    " choose a new or empty folder."
                )
        self._lock = filelock.FileLock(path / ".lock")
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise LockedError(
                f"{path} is in use by another rd-sweep: wait for it, or choose another directory."
            ) from None
        except OSError as error:
            raise SettingsError(f"{path}: cannot be written: {error.strerror}.") from error

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def read_manifest(self) -> dict[str, Any] | None:
        """The manifest, or None in a new directory.

        Raises:
            RunDirectoryError: If it cannot be read.
        """
        return read_manifest(self.path)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Stores the manifest, from then on the directory's identity."""
        write_file(self.path / MANIFEST, _json(manifest))

    def log(self, event: Mapping[str, Any]) -> None:
        """Appends one line to the log; it is for reading, so a lost line loses nothing."""
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def read_state(self, chunk: int) -> tuple[int, list[np.ndarray]] | None:
        """The checkpoint of a chunk: steps done and the leaves of its state; None without one.

        Raises:
            RunDirectoryError: If it cannot be read.
        """
        path = self._chunk(chunk) / _STATE
        if not path.exists():
            return None
        arrays = read_arrays(path)
        try:
            return int(arrays.pop("steps")), [arrays[f"leaf{n}"] for n in range(len(arrays))]
        except (KeyError, TypeError) as error:
            raise RunDirectoryError(f"{path}: {_DAMAGED} ({error}).") from error

    def write_state(self, chunk: int, steps: int, leaves: Sequence[np.ndarray]) -> None:
        """Checkpoints a chunk."""
        named = {f"leaf{n}": leaf for n, leaf in enumerate(leaves)}
        folder = self._chunk(chunk)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / _STATE, _npz({"steps": np.int64(steps), **named}))

    def read_result(self, chunk: int) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """The result and the pictures of a chunk that is done, with checksums verified.

        Raises:
            RunDirectoryError: If a file is missing or does not match its checksum.
        """
        folder = self._chunk(chunk)
        if not (folder / _DONE).exists():
            return None
        try:
            for line in (folder / _SUMS).read_text(encoding="utf-8").splitlines():
                sha256, name = line.split("  ")
                if Path(name).name != name or _sha256((folder / name).read_bytes()) != sha256:
                    raise RunDirectoryError(f"{folder / name}: {_DAMAGED} (SHA-256 differs).")
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"{folder}: {_DAMAGED} ({error}).") from error
        return _read_json(folder / _RESULT), read_arrays(folder / IMAGES)

    def write_result(
        self, chunk: int, result: Mapping[str, Any], pictures: Mapping[str, np.ndarray]
    ) -> None:
        """Stores what a chunk came to; only its last file makes it count."""
        folder = self._chunk(chunk)
        files = {_RESULT: _json(result), IMAGES: _npz(pictures)}
        for name, data in files.items():
            write_file(folder / name, data)
        sums = "".join(f"{_sha256(data)}  {name}\n" for name, data in files.items())
        write_file(folder / _SUMS, sums.encode())
        write_file(folder / _DONE, b"")

    def write_posterior(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Stores the posteriors of one run on one split."""
        (self.path / "posteriors").mkdir(exist_ok=True)
        write_file(self.path / "posteriors" / f"{name}.npz", _npz(arrays))

    def write_images(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Stores the pictures of every run."""
        write_file(self.path / IMAGES, _npz(arrays))

    def write_table(self, data: bytes) -> None:
        """Stores the table, which makes the sweep finished."""
        write_file(self.path / TABLE, data)

    def free_bytes(self) -> int:
        """Bytes free on the directory's disk."""
        return shutil.disk_usage(self.path).free

    def _chunk(self, chunk: int) -> Path:
        return self.path / "chunks" / f"{chunk:04d}"


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a run directory, or None where there is none yet.

    Raises:
        RunDirectoryError: If it cannot be read.
    """
    return _read_json(path / MANIFEST) if (path / MANIFEST).exists() else None


def read_table(path: Path) -> "pandas.DataFrame":
    """The table of a finished run directory, in nats.

    Raises:
        RunDirectoryError: If the sweep is not finished, or the table is damaged.
        SettingsError: If the folder is no run directory.
    """
    from ratedistortion import table

    if (path / TABLE).exists():
        return table.read(path / TABLE)
    if (path / MANIFEST).exists():
        raise RunDirectoryError(
            f"{path}: the sweep is not finished: run `rd-sweep {path}` to continue it."
        )
    raise SettingsError(f"{path}: not a run directory: it has neither {MANIFEST} nor {TABLE}.")


def read_images(path: Path) -> dict[str, np.ndarray]:
    """The pictures of every run: `originals`, `reconstructions`, `samples`, `beta`, `seed`.

    Raises:
        RunDirectoryError: If they are missing or damaged.
    """
    return read_arrays(path / IMAGES)


def read_losses(path: Path) -> list[dict[str, Any]]:
    """The loss curve of every run: `beta`, `seed`, `steps`, `distortion`, `rate`.

    Raises:
        RunDirectoryError: If the log is missing.
    """
    losses: dict[tuple[float, int], dict[str, Any]] = {}
    try:
        lines = (path / LOG).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RunDirectoryError(f"{path / LOG}: {_DAMAGED} ({error.strerror}).") from error
    for line in lines:
        try:
            event = json.loads(line)
            if event["event"] == "loss":
                losses[event["beta"], event["seed"]] = event
        except (ValueError, KeyError, TypeError):
            continue  # A line that was being written when the power went.
    return [losses[run] for run in sorted(losses)]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file, never unpickled.

    Raises:
        RunDirectoryError: If the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunDirectoryError(f"{path}: {_DAMAGED} ({error}).") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"{path}: {_DAMAGED} ({error}).") from error
    if not isinstance(value, dict):
        raise RunDirectoryError(f"{path}: {_DAMAGED} (no JSON object).")
    return value


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def _npz(arrays: Mapping[str, Any], save: Callable[..., None] = np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
