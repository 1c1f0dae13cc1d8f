"""Files that numbers come from: a checksum over all of each, in the file or kept elsewhere."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.untrusted import damaged, parse_arrays, parse_object, read_file

# A sealed file is a JSON object whose first field is the SHA-256 of all that follows it, and after
# the object perhaps the bytes of an npz file.
_BEGINNING, _DIGITS, _END = b'{\n "sha256": "', 64, b"\n}\n"


def seal(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> bytes:
    """The content of a sealed file.

    Args:
        values: As JSON can hold them.
        arrays: Name -> array.

    Returns:
        Bytes that `read_sealed` takes apart again.
    """
    text = json.dumps({"sha256": "", **values}, indent=1, allow_nan=False) + "\n"
    content = text.encode()[len(_BEGINNING) :] + (npz(arrays) if arrays else b"")
    return _BEGINNING + sha256(content).encode() + content


def read_sealed(
    path: Path, remedy: str, **owner: Any
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a sealed file holds, once its checksum is verified.

    Args:
        path: The file.
        remedy: What to do if it is damaged, as the end of a sentence.
        owner: Values that it must have: what it belongs to.

    Returns:
        The values, without the checksum, and the arrays.

    Raises:
        RunDirectoryError: If it cannot be read, one bit is not as it was written, or it belongs to
            something else.
    """
    data, place = read_file(path, remedy), len(_BEGINNING)
    written, content = data[place : place + _DIGITS], data[place + _DIGITS :]
    if not data.startswith(_BEGINNING) or sha256(content).encode() != written:
        raise damaged(path, "its SHA-256 differs", remedy)
    text, end, packed = data.partition(_END)
    values = parse_object(path, text + end, remedy)
    del values["sha256"]
    for name, value in owner.items():
        if values.get(name) != value:
            raise damaged(path, f"it belongs to another {name}", remedy)
    return values, parse_arrays(path, packed, remedy) if packed else {}


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


def npz(arrays: Mapping[str, Any]) -> bytes:
    """The bytes of an npz file: the same arrays give the same bytes.

    Args:
        arrays: Name -> array.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    """The checksum of a content.

    Args:
        data: The content.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(data).hexdigest()
