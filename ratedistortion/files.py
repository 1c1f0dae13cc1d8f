"""Small files, written whole or not at all."""

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
