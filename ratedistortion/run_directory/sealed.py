"""Files that numbers come from: each says what it belongs to, and has a checksum over all of it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratedistortion.untrusted import damaged, parse_object

# A sealed file is a JSON object whose first field is the SHA-256 of all that follows it, and after
# the object perhaps the bytes of arrays.
_BEGINNING, _DIGITS, _END = b'{\n "sha256": "', 64, b"\n}\n"


def seal(values: Mapping[str, Any], arrays: bytes = b"") -> bytes:
    """The content of a sealed file.

    Args:
        values: As JSON can hold them.
        arrays: What follows them.

    Returns:
        Bytes that `unseal` takes apart again.
    """
    text = json.dumps({"sha256": "", **values}, indent=1, allow_nan=False) + "\n"
    content = text.encode()[len(_BEGINNING) :] + arrays
    return _BEGINNING + sha256(content).encode() + content


def unseal(path: Path, data: bytes, remedy: str) -> tuple[dict[str, Any], bytes]:
    """Takes the content of a sealed file apart, once its checksum is verified.

    Args:
        path: The file, for the error.
        data: Its content.
        remedy: What to do if it is damaged, as the end of a sentence.

    Returns:
        The values, without the checksum, and the bytes of arrays.

    Raises:
        RunDirectoryError: If one bit is not as it was written.
    """
    place = len(_BEGINNING)
    written, content = data[place : place + _DIGITS], data[place + _DIGITS :]
    if not data.startswith(_BEGINNING) or sha256(content).encode() != written:
        raise damaged(path, "its SHA-256 differs", remedy)
    text, end, arrays = data.partition(_END)
    values = parse_object(path, text + end, remedy)
    del values["sha256"]
    return values, arrays


def sha256(data: bytes) -> str:
    """The checksum of a content.

    Args:
        data: The content.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(data).hexdigest()
