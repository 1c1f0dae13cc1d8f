"""Where files are written: whole or not at all, or one line at a time."""

import contextlib
import errno
import fcntl
import os
import secrets
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".*.????????.tmp"  # what a crash can leave behind, as a glob pattern
# What file systems say that cannot put a folder on the disk, or do not let it be opened for that:
# shares on a network, and some disks of macOS. Files are safe there as far as they can be.
_NO_FOLDER_SYNC = (
    errno.EINVAL,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EBADF,
    errno.EACCES,
    errno.EPERM,
)

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # what file systems say that have none


def write_file(path: Path, data: bytes) -> None:
    """Writes a file so that a crash leaves the old content or the new, never a part.

    Args:
        path: Where to; the folder must exist. A file that is there is replaced; a link is
            replaced too, not followed.
        data: All of the content.

    Raises:
        OSError: If the file system refuses; what was there stays.
    """
    # Replacing is atomic only within one folder. The name is one that nobody can have guessed and
    # put a link at.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def move_file(source: Path, target: Path) -> None:
    """Gives a file another name in place of the file that has it, which a crash leaves or replaces.

    Args:
        source: The file.
        target: Its new name, in a folder of the same file system; a link there is replaced.

    Raises:
        OSError: If the file system refuses; both stay.
    """
    os.replace(source, target)
    _sync_folder(target.parent)
    _sync_folder(source.parent)


def append_line(path: Path, line: bytes) -> None:
    """Adds one line to the end of a file, which is created if it is not there.

    Args:
        path: Which file; the folder must exist. A link is refused, not followed.
        line: Without the newline.

    Raises:
        OSError: If the file system refuses, or the path is a link.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        # A line that a crash cut short must not spoil this one too.
        _write_all(descriptor, (b"" if whole else b"\n") + line + b"\n")
    finally:
        os.close(descriptor)


def lock_file(path: Path) -> BinaryIO:
    """Locks a file until it is closed or the process ends; it is created if it is not there.

    Args:
        path: Which file; the folder must exist. A link is refused, not followed.

    Returns:
        The file, to be closed.

    Raises:
        BlockingIOError: If another process, or this one, has locked it already.
        OSError: If the file system refuses; one that has no locks is let through.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    file = os.fdopen(descriptor, "rb", buffering=0)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            file.close()
            raise
    return file


def make_folders(path: Path) -> list[Path]:
    """Makes a folder and those above it, as far as they are not there.

    Args:
        path: The folder.

    Returns:
        Those that were made, the innermost first.

    Raises:
        OSError: If the file system refuses; those that were made are taken away again.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another process was quicker
                os.mkdir(folder)
                made.insert(0, folder)
                _sync_folder(folder.parent)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError:
        remove_folders(made)
        raise
    return made


def remove_folders(folders: list[Path]) -> None:
    """Takes folders away again, as far as they are empty.

    Args:
        folders: The innermost first.
    """
    with contextlib.suppress(OSError):
        for folder in folders:
            os.rmdir(folder)


def remove_file(path: Path) -> None:
    """Removes a file, if it is there.

    Args:
        path: The file; a link is removed itself.

    Raises:
        OSError: If the file system refuses.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        _sync_folder(path.parent)  # or a power cut could bring it back beside newer files


def cache_folder() -> Path | None:
    """The folder for what can be made again: `ratedistortion` in $XDG_CACHE_HOME or ~/.cache.

    Returns:
        Its path; None where the user has no home.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path in $XDG_CACHE_HOME is ignored, as the XDG specification asks. Where nobody
    # knows a home, `~` stays as it is.
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.cache")
    return Path(home, "ratedistortion") if os.path.isabs(home) else None


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_folder(path: Path) -> None:
    """Puts the names in a folder on the disk, where its file system can."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
