"""Small files, written whole or not at all."""

import os
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Writes a file so that a crash leaves the old content or the new, never a part.

    Args:
        path: Where to; the folder must exist. A file that is there is replaced.
        data: All of the content.

    Raises:
        OSError: If the file system refuses.
    """
    # A name of its own for each process; replacing is atomic only within one folder.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)
