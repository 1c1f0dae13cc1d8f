"""Files of a run directory, read as if a stranger had made them: nothing is ever unpickled."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.errors import RunDirectoryError


def read_file(path: Path, remedy: str) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        remedy: What to do if it is damaged, as the end of a sentence.

    Returns:
        All of its bytes.

    Raises:
        RunDirectoryError: If it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, for ever
            raise OSError(0, "it is no file")
        return path.read_bytes()
    except OSError as error:
        raise damaged(path, error, remedy) from error


def parse_arrays(path: Path, data: bytes, remedy: str) -> dict[str, np.ndarray]:
    """The arrays of an npz file, given its content.

    Args:
        path: The file, for the error.
        data: Its content.
        remedy: As for `read_file`.

    Returns:
        Name -> array.

    Raises:
        RunDirectoryError: If it is damaged or holds Python objects.
    """
    # What NumPy and zipfile raise on bytes that are not theirs is no closed list.
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:
        raise damaged(path, str(error) or type(error).__name__, remedy) from error


def parse_object(path: Path, data: bytes, remedy: str) -> dict[str, Any]:
    """The object of a JSON file, given its content.

    Args:
        path: The file, for the error.
        data: Its content.
        remedy: As for `read_file`.

    Returns:
        Name -> value.

    Raises:
        RunDirectoryError: If it is damaged.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged(path, error, remedy) from error
    if not isinstance(value, dict):
        raise damaged(path, "no JSON object", remedy)
    return value


def damaged(path: Path, reason: object, remedy: str) -> RunDirectoryError:
    """What to raise of a file that is not as this program wrote it.

    Args:
        path: The file.
        reason: What is wrong, as text or as the error that says it.
        remedy: As for `read_file`.

    Returns:
        The error, for the caller to raise.
    """
    reason = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
    return RunDirectoryError(f"{path}: it is damaged ({reason}); {remedy}.")
