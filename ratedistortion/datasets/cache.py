"""Arrays that took long to read, kept in the user's cache folder."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

_DIGEST_BYTES = 32


def cached(key: str, build: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `build` returns, from the cache if it is there.

    The file is an `.npy` with the SHA-256 of its bytes appended (NumPy ignores the rest of a
    file), so a damaged one is noticed and built again. Whatever keeps it from being written, a
    full disk or a read-only home, only costs the time of building again.

    Args:
        key: Name of the file, without suffix; it must change whenever the array would.
        build: Makes the array.
    """
    path = cache_folder() / f"{key}.npy"
    with contextlib.suppress(OSError, ValueError):
        return _read(path)
    array = build()
    with contextlib.suppress(OSError):
        _write(path, array)
    return array


def cache_folder() -> Path:
    """`ratedistortion` in $XDG_CACHE_HOME, or in ~/.cache."""
    # The XDG specification: a relative path is to be ignored.
    home = os.environ.get("XDG_CACHE_HOME", "")
    return Path(home if os.path.isabs(home) else os.path.expanduser("~/.cache")) / "ratedistortion"


def _read(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        body = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
        digest = hashlib.sha256()
        left = body
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        # Checked first, so that NumPy never parses damaged bytes.
        if file.read() != digest.digest():
            raise ValueError(f"{path} is damaged")
        file.seek(0)
        return np.load(file, allow_pickle=False)


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w+b") as file:
            np.save(file, array, allow_pickle=False)
            file.seek(0)
            file.write(hashlib.file_digest(file, "sha256").digest())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
