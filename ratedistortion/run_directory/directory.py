"""The run directory as its owner sees it: lock, manifest, log, checkpoints, results."""

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.errors import LockedError, RateDistortionError, RunDirectoryError, SettingsError
from ratedistortion.files import (
    TEMPORARY,
    append_line,
    lock_file,
    make_folders,
    move_file,
    remove_file,
    remove_folders,
    write_file,
)
from ratedistortion.run_directory.model_files import model_path, pack
from ratedistortion.run_directory.reading import (
    LOG,
    MANIFEST,
    MODELS,
    POSTERIORS,
    REMEASURED,
    TABLE,
    ChunkFiles,
)
from ratedistortion.run_directory.sealed import npz, seal, sha256

_LOCK, _OWNER = ".lock", ".owner"


class RunDirectory:
    """A run directory that this process holds; to be used in a `with` statement.

    Two things keep others out. The lock file is locked as long as the process lives, where the
    file system has locks. And a file has a random token of this process: it is read again, by its
    path, before anything is written. A directory that was moved, removed or taken over so ends the
    sweep, and nothing is written into another's. Leaving it before there is a manifest leaves
    nothing behind.

    Args:
        path: Created if it does not exist.

    Raises:
        LockedError: If another process holds it.
        RunDirectoryError: If it is a folder with other things in it.
        SettingsError: If it cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock, self._made = None, []
        check_folder(path)
        try:
            self._made = make_folders(path)
            self._lock = lock_file(path / _LOCK)
            self._token = secrets.token_hex(16)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            owner = {"host": socket.gethostname(), "process": os.getpid(), "since": since}
            write_file(path / _OWNER, json.dumps({"token": self._token, **owner}).encode())
        except BlockingIOError:
            raise LockedError(
                f"{path} is in use by {_named(_read_owner(path))}: wait for it, or choose another"
                " directory."
            ) from None
        except OSError as error:
            if self._made or self._lock:
                self._leave_nothing()
            raise _unwritable(path, error) from error
        self._remove_temporary_files()

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        # A directory that another process has taken over meanwhile is left as it is.
        if _read_owner(self.path).get("token") == self._token:
            with contextlib.suppress(OSError):
                remove_file(self.path / _OWNER)
            self._leave_nothing()
        self._free()

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Stores the manifest, from then on the directory's identity.

        Args:
            manifest: As JSON can hold it.
        """
        self._write(self.path / MANIFEST, seal(manifest))

    def log(self, event: Mapping[str, Any]) -> None:
        """Appends one line to the log, which is for reading: no number comes from it.

        A log that cannot be written ends no sweep.

        Args:
            event: As JSON can hold it.
        """
        self._check_held()
        with contextlib.suppress(OSError):
            append_line(self.path / LOG, json.dumps(event).encode())

    def write_chunk(
        self,
        files: ChunkFiles,
        name: str,
        values: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Stores a file of a chunk.

        Args:
            files: Of the chunk.
            name: `reading.STATE`, `reading.ROWS` or `reading.RESULT`.
            values: As JSON can hold them.
            arrays: Name -> array.
        """
        self._write(files.path(name), seal({**files.owner, **values}, arrays))

    def remove(self, path: Path) -> None:
        """Removes a file of the directory, if it is there.

        Args:
            path: Such as the checkpoint of a chunk, or the table, which makes the sweep go on.
        """
        self._check_held()
        with _writing(path):
            remove_file(path)

    def write_arrays(self, file: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Stores arrays that no other file of the directory depends on.

        Args:
            file: Its name in the directory, such as `images.npz` or `posteriors/NAME.npz`.
            arrays: Name -> array.

        Returns:
            The SHA-256 of the file.
        """
        return self._write(self.path / file, npz(arrays))

    def write_model(
        self, label: str, parameters: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> str:
        """Stores the parameters of a model.

        Args:
            label: Of its run.
            parameters: Name -> array.
            facts: What it is, as JSON can hold it.

        Returns:
            The SHA-256 of the file.
        """
        return self._write(model_path(self.path, label), pack(parameters, facts))

    def move(self, source: Path, target: Path) -> None:
        """Replaces a file of the directory by another of it; does nothing if that is not there.

        Args:
            source: The new file. Folders that it leaves empty are removed.
            target: The place of the old one, in a folder that may have to be made.
        """
        self._check_held()
        with _writing(target):
            if source.exists():
                self._make_folder(target.parent)
                move_file(source, target)
                inside = len(source.relative_to(self.path).parts) - 1
                remove_folders(list(source.parents[:inside]))

    def write_table(self, data: bytes) -> None:
        """Stores the table, which makes the sweep finished.

        Args:
            data: A Parquet file.
        """
        self._write(self.path / TABLE, data)

    def _leave_nothing(self) -> None:
        """Removes what this process made, where there is no manifest yet; the lock is free then."""
        with contextlib.suppress(OSError):
            if not (self.path / MANIFEST).exists():
                remove_file(self.path / _LOCK)
                remove_folders(self._made)
        self._free()

    def _free(self) -> None:
        if self._lock:
            self._lock.close()

    def _check_held(self) -> None:
        owner = _read_owner(self.path)
        if owner.get("token") != self._token:
            now = f"taken over by {_named(owner)}" if owner else "moved or removed"
            raise RunDirectoryError(
                f"{self.path} was {now} while this sweep wrote to it: it ends here, and wrote"
                " nothing there since. What it had stored is where the directory is now."
            )

    def _write(self, path: Path, data: bytes) -> str:
        self._check_held()
        with _writing(path):
            self._make_folder(path.parent)
            write_file(path, data)
        return sha256(data)

    def _make_folder(self, path: Path) -> None:
        folder = self.path
        for part in path.relative_to(self.path).parts:
            folder = folder / part
            if folder.is_symlink():
                raise RunDirectoryError(f"{folder} is a link, and is not followed: remove it.")
        make_folders(folder)

    def _remove_temporary_files(self) -> None:
        """What a process that was killed has left."""
        for root in (self.path, self.path / REMEASURED):
            for folder in (root, *root.glob("chunks/*"), root / POSTERIORS, root / MODELS):
                inside = (folder, *folder.parents)[: len(folder.relative_to(self.path).parts)]
                if any(part.is_symlink() for part in inside):
                    continue
                with contextlib.suppress(OSError):
                    for file in folder.glob(TEMPORARY):
                        remove_file(file)


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
        ours = (_LOCK, _OWNER, *(f".{name}{TEMPORARY[2:]}" for name in (MANIFEST, _OWNER)))
        foreign = [p.name for p in path.iterdir() if not any(p.match(name) for name in ours)]
    except OSError as error:
        raise _unwritable(path, error) from error
    if foreign:
        raise RunDirectoryError(
            f"{path} is not a run directory: it has no {MANIFEST} but holds {min(foreign)!r};"
            " choose a new or empty folder."
        )


def _read_owner(path: Path) -> dict[str, Any]:
    """Who holds a directory; nothing where nobody does, or the file cannot be read."""
    try:
        owner = json.loads((path / _OWNER).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _named(owner: Mapping[str, Any]) -> str:
    if not owner:
        return "another rd-sweep"
    values = (str(owner.get(name)) for name in ("process", "host", "since"))
    return "process {} on {}, since {}".format(*values)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RateDistortionError(
            f"{path}: cannot be written: {error.strerror or error}; what was stored before is"
            " kept, and once it can be written the same command continues."
        ) from error


def _unwritable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"{path}: cannot be written: {error.strerror or error}.")
