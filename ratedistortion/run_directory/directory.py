"""The run directory: lock, manifest, log, checkpoints, results."""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from ratedistortion.errors import LockedError, RateDistortionError, RunDirectoryError, SettingsError
from ratedistortion.files import TEMPORARY, append_line, write_file
from ratedistortion.run_directory.reading import IMAGES, LOG, MANIFEST, TABLE
from ratedistortion.untrusted import damaged, parse_arrays, parse_object, read_file

_LOCK, _RESULT, _STATE, _SUMS, _DONE = ".lock", "result.json", "state.npz", "SHA256SUMS", "DONE"


class RunDirectory:
    """A run directory that this process holds; to be used in a `with` statement.

    Leaving it before there is a manifest leaves nothing behind.

    Args:
        path: Created if it does not exist.

    Raises:
        LockedError: If another process holds it.
        RunDirectoryError: If it is a folder with other things in it.
        SettingsError: If it cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = filelock.FileLock(path / _LOCK)
        self._made: list[Path] = []
        check_folder(path)
        try:
            self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
            path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            if isinstance(self._lock, filelock.SoftFileLock):
                # A soft lock outlives a kill -9, and would keep its owner out.
                self._lock.release(force=True)
                raise OSError(0, "its file system has no file locks")
        except filelock.Timeout:
            raise LockedError(
                f"{path} is in use by another rd-sweep: wait for it, or choose another directory."
            ) from None
        except OSError as error:
            self._remove_folders()
            raise _unwritable(path, error) from error
        self._remove_temporary_files()

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        if not (self.path / MANIFEST).exists():
            with contextlib.suppress(OSError):
                (self.path / _LOCK).unlink()
            self._remove_folders()
        self._lock.release()

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Stores the manifest, from then on the directory's identity.

        Args:
            manifest: As JSON can hold it.
        """
        self._write(self.path / MANIFEST, _json(manifest))

    def log(self, event: Mapping[str, Any]) -> None:
        """Appends one line to the log, which is for reading: no number comes from it.

        Args:
            event: As JSON can hold it.
        """
        path = self.path / LOG
        with _writing(path):
            append_line(path, json.dumps(event).encode())

    def read_state(self, chunk: int) -> tuple[int, list[np.ndarray]] | None:
        """The checkpoint of a chunk: steps done and the leaves of its state; None without one.

        Args:
            chunk: Its number, from 0.

        Returns:
            Steps, and arrays in the order in which `write_state` got them.

        Raises:
            RunDirectoryError: If it cannot be read.
        """
        path = self._chunk(chunk, _STATE)
        if not path.exists():
            return None
        remedy = _computed_again(path)
        arrays = parse_arrays(path, read_file(path, remedy), remedy)
        try:
            return int(arrays.pop("steps")), [arrays[f"leaf{n}"] for n in range(len(arrays))]
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, error, remedy) from error

    def write_state(self, chunk: int, steps: int, leaves: Sequence[np.ndarray]) -> None:
        """Checkpoints a chunk.

        Args:
            chunk: Its number, from 0.
            steps: Training steps done.
            leaves: The arrays of its state.
        """
        named = {f"leaf{n}": leaf for n, leaf in enumerate(leaves)}
        self._write(self._chunk(chunk, _STATE), _npz({"steps": np.int64(steps), **named}))

    def remove_state(self, chunk: int) -> None:
        """Forgets the checkpoint of a chunk, if there is one.

        Args:
            chunk: Its number, from 0.
        """
        path = self._chunk(chunk, _STATE)
        with _writing(path):
            path.unlink(missing_ok=True)

    def read_result(self, chunk: int) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """The result and the pictures of a chunk that is done, with checksums verified.

        Args:
            chunk: Its number, from 0.

        Returns:
            What `write_result` got; None where the chunk is not done.

        Raises:
            RunDirectoryError: If a file is missing or does not match its checksum.
        """
        if not self._chunk(chunk, _DONE).exists():
            return None
        remedy = _computed_again(self._chunk(chunk))
        sums = read_file(self._chunk(chunk, _SUMS), remedy).splitlines()
        result, pictures = self._chunk(chunk, _RESULT), self._chunk(chunk, IMAGES)
        # The names are ours, never those that the file of checksums has.
        contents = {path: read_file(path, remedy) for path in (result, pictures)}
        for path, data in contents.items():
            if _sum(path, data) not in sums:
                raise damaged(path, "its SHA-256 differs", remedy)
        return (
            parse_object(result, contents[result], remedy),
            parse_arrays(pictures, contents[pictures], remedy),
        )

    def write_result(
        self, chunk: int, result: Mapping[str, Any], pictures: Mapping[str, np.ndarray]
    ) -> None:
        """Stores what a chunk came to; only its last file makes it count.

        Args:
            chunk: Its number, from 0.
            result: As JSON can hold it.
            pictures: Name -> array.
        """
        contents = {
            self._chunk(chunk, _RESULT): _json(result),
            self._chunk(chunk, IMAGES): _npz(pictures),
        }
        for path, data in contents.items():
            self._write(path, data)
        sums = b"".join(_sum(path, data) + b"\n" for path, data in contents.items())
        self._write(self._chunk(chunk, _SUMS), sums)
        self._write(self._chunk(chunk, _DONE), b"")

    def foreign_state(self, chunk: int) -> RunDirectoryError:
        """What to raise if the checkpoint of a chunk is not one of this sweep.

        Args:
            chunk: Its number, from 0.

        Returns:
            The error, for the caller to raise.
        """
        path = self._chunk(chunk, _STATE)
        return damaged(path, "it does not fit the model", _computed_again(path))

    def foreign_result(self, chunk: int) -> RunDirectoryError:
        """What to raise if the result of a chunk is not one of this sweep.

        Args:
            chunk: Its number, from 0.

        Returns:
            The error, for the caller to raise.
        """
        path = self._chunk(chunk)
        return damaged(path, "it holds other runs than this chunk should", _computed_again(path))

    def write_arrays(self, file: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Stores arrays that no other file of the directory depends on.

        Args:
            file: Its name in the directory, such as `images.npz` or `posteriors/NAME.npz`.
            arrays: Name -> array.
        """
        self._write(self.path / file, _npz(arrays))

    def write_table(self, data: bytes) -> None:
        """Stores the table, which makes the sweep finished.

        Args:
            data: A Parquet file.
        """
        self._write(self.path / TABLE, data)

    def _chunk(self, chunk: int, file: str = "") -> Path:
        return self.path / "chunks" / f"{chunk:04d}" / file

    def _write(self, path: Path, data: bytes) -> None:
        folder = self.path
        with _writing(path):
            for part in path.parent.relative_to(self.path).parts:
                folder = folder / part
                if folder.is_symlink():
                    raise RunDirectoryError(f"{folder} is a link, and is not followed: remove it.")
                folder.mkdir(exist_ok=True)
            write_file(path, data)

    def _remove_temporary_files(self) -> None:
        """What a process that was killed has left."""
        for folder in (self.path, *self.path.glob("chunks/*"), self.path / "posteriors"):
            if folder != self.path and (folder.is_symlink() or folder.parent.is_symlink()):
                continue
            with contextlib.suppress(OSError):
                for file in folder.glob(TEMPORARY):
                    file.unlink()

    def _remove_folders(self) -> None:
        with contextlib.suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def check_folder(path: Path) -> None:
    """Refuses a folder with other things in it, where there is no run directory yet.

    Args:
        path: Where a run directory is or will be.

    Raises:
        RunDirectoryError: If it is one.
        SettingsError: If it cannot be read.
    """
    try:
        if not path.is_dir() or (path / MANIFEST).exists():
            return
        ours = (_LOCK, f".{MANIFEST}{TEMPORARY[2:]}")
        foreign = [p.name for p in path.iterdir() if not any(p.match(name) for name in ours)]
    except OSError as error:
        raise _unwritable(path, error) from error
    if foreign:
        raise RunDirectoryError(
            f"{path} is not a run directory: it has no {MANIFEST} but holds {min(foreign)!r};"
            " choose a new or empty folder."
        )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RateDistortionError(
            f"{path}: cannot be written: {error.strerror or error}; once it can be, the same"
            " command continues."
        ) from error


def _unwritable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"{path}: cannot be written: {error.strerror or error}.")


def _computed_again(path: Path) -> str:
    return f"restore it, or delete {path} to have it computed again"


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def _npz(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _sum(path: Path, data: bytes) -> bytes:
    return f"{hashlib.sha256(data).hexdigest()}  {path.name}".encode()
