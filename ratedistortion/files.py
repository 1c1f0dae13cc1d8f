"""Where files are written: whole or not at all, or one line at a time."""

import os
import secrets
from pathlib import Path

TEMPORARY = ".*.????????.tmp"  # what a crash can leave behind, as a glob pattern


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
    with temporary.open("xb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def append_line(path: Path, line: bytes) -> None:
    """Adds one line to the end of a file, which is created if it is not there.

    Args:
        path: Which file; the folder must exist. A link is refused, not followed.
        line: Without the newline.

    Raises:
        OSError: If the file system refuses, or the path is a link.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o666), "r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        whole = size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n"
        # A line that a crash cut short must not spoil this one too.
        file.write((b"" if whole else b"\n") + line + b"\n")


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
