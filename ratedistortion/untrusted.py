"""Files read as if a stranger had made them: sizes are checked first, nothing is unpickled."""

import io
import json
import math
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.errors import RunDirectoryError, SettingsError

# An array that is larger than this, in bytes, and unpacks to so many times its packed size is taken
# for an attack on memory: images seldom shrink to a hundredth.
_LARGE, MAX_PACKED = 1 << 30, 300


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
    except PermissionError as error:
        raise RunDirectoryError(
            f"{path}: it may not be read ({error.strerror}): allow it, nothing is lost."
        ) from error
    except OSError as error:
        raise damaged(path, error, remedy) from error


def read_given(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file that the user named.

    Args:
        path: The file.
        max_bytes: How large it may be.

    Returns:
        All of its bytes.

    Raises:
        SettingsError: If it cannot be read, or is larger.
    """
    try:
        status = path.stat()
        # A pipe would be waited for, and a link can lead to a device without an end.
        if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
            raise OSError(0, f"it is no regular file of at most {max_bytes:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from error


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
        npz = Npz(io.BytesIO(data))
        if npz.others:
            raise ValueError(f"{npz.others[0]} is no array")
        return {name: npz.read(name) for name in npz.shapes}
    except Exception as error:
        raise damaged(path, str(error) or type(error).__name__, remedy) from error


class Npz:
    """The arrays of an npz file; none is read before its size is known to be there.

    Args:
        file: Its content; it stays open as long as arrays are read.

    Attributes:
        shapes: Name -> shape of every array.
        others: Names of what is no array.

    Raises:
        ValueError: If a header promises more than there is; other exceptions if it is damaged.
    """

    def __init__(self, file: Any) -> None:
        if file.read(4) not in (b"PK\3\4", b"PK\5\6"):  # the second is of an empty one
            raise ValueError("it does not begin as an npz file does")
        self._archive = zipfile.ZipFile(file)
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._dtypes: dict[str, np.dtype] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.others: list[str] = []
        for info in self._archive.infolist():
            if not info.filename.endswith(".npy"):
                self.others.append(info.filename)
            else:
                name = info.filename.removesuffix(".npy")
                if name in self.shapes:
                    raise ValueError(f"{name} is there twice")
                with self._archive.open(info) as member:
                    self.shapes[name], self._dtypes[name] = npy_header(member, info.file_size)
                self._members[name] = info

    def has_objects(self, name: str) -> bool:
        """Whether an array holds Python objects, which are never unpickled.

        Args:
            name: One of `shapes`.
        """
        return self._dtypes[name].hasobject

    def read(self, name: str) -> np.ndarray:
        """One array.

        Args:
            name: One of `shapes`.

        Raises:
            ValueError: If it holds objects, or unpacks to hundreds of times its size.
        """
        info = self._members[name]
        if info.file_size > max(_LARGE, MAX_PACKED * info.compress_size):
            raise ValueError(
                f"{name} would unpack from {info.compress_size:,} to {info.file_size:,} bytes"
            )
        with self._archive.open(info) as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
            if member.read(1):  # zipfile compares its checksum only at the end
                raise ValueError(f"{name} has more bytes than its shape")
            return array


def npy_header(file: Any, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array, once the bytes that they need are known to be there.

    Args:
        file: The content of an npy file, from its beginning.
        size: How many bytes it has.

    Raises:
        ValueError: If it is no npy file, or its array does not fit in the size.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    if not dtype.hasobject and (
        dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize > size - file.tell()
    ):
        raise ValueError(f"shape {shape} and dtype {dtype} do not fit its {size:,} bytes")
    return shape, dtype


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
