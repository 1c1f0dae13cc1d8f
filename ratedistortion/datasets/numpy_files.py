"""The NumPy formats `.npz` and `.npy`. Python objects in them are never unpickled."""

import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ratedistortion.datasets.arrays import Raw, reason
from ratedistortion.datasets.names import choose
from ratedistortion.errors import DatasetError

# Suffix -> the bytes that a file of this format begins with. An .npz file is a zip file; the second
# signature is that of an empty zip file.
SUFFIXES = {".npz": (b"PK\3\4", b"PK\5\6"), ".npy": (b"\x93NUMPY",)}
# An array that is larger than this, in bytes, and unpacks to so many times its packed size is taken
# for an attack on memory: images seldom shrink to a hundredth.
_LARGE, _PACKED = 1 << 30, 300


def read_numpy(path: Path, asked: dict[str, str] | None) -> Raw:
    """The data of an `.npz` or `.npy` file.

    Args:
        path: The file. The array of an `.npy` file stays on disk and is read where it is needed;
            of an `.npz` only the chosen arrays are read.
        asked: Split -> name of its array in an `.npz`; None to go by the names.

    Returns:
        The arrays.

    Raises:
        DatasetError: If the file is damaged, holds objects or does not hold such arrays.
    """
    # Any exception is caught, because no document lists what NumPy and zipfile raise for damaged
    # files. Seen so far: OSError, ValueError, EOFError, BadZipFile, zlib.error, TokenError,
    # MemoryError, RuntimeError.
    try:
        with path.open("rb") as file:
            if not file.read(6).startswith(SUFFIXES[path.suffix]):
                raise ValueError(f"it does not begin as an {path.suffix} file does")
            file.seek(0)
            if path.suffix == ".npy":
                if asked:
                    raise DatasetError(f"{path} has one array, without a name: leave out --arrays.")
                if _header(file, path.stat().st_size)[1].hasobject:
                    raise _ObjectsError
                return Raw({"train": np.load(path, mmap_mode="r")}, str(path))
            return _read_npz(file, path, asked)
    except DatasetError:
        raise
    except _ObjectsError:
        raise DatasetError(
            f"{path} holds Python objects, which are never unpickled: save arrays of uint8 or"
            " floats."
        ) from None
    except Exception as error:
        raise DatasetError(
            f"{path} cannot be read, it is damaged or no {path.suffix} file: {reason(error)}."
        ) from error


class _ObjectsError(Exception):
    """An array holds Python objects."""


def _read_npz(file: BinaryIO, path: Path, asked: dict[str, str] | None) -> Raw:
    archive = zipfile.ZipFile(file)
    members = {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }
    dtypes, shapes = {}, {}
    for name, info in members.items():
        with archive.open(info) as member:
            shapes[name], dtypes[name] = _header(member, info.file_size)
    if dtypes and all(dtype.hasobject for dtype in dtypes.values()):
        raise _ObjectsError
    chosen = choose(shapes, asked, str(path))
    splits = {}
    for split, name in chosen.names.items():
        info = members[name]
        if dtypes[name].hasobject:
            raise _ObjectsError
        if info.file_size > max(_LARGE, _PACKED * info.compress_size):
            raise ValueError(
                f"{name} would unpack from {info.compress_size:,} to {info.file_size:,} bytes"
            )
        with archive.open(info) as member:
            splits[split] = np.lib.format.read_array(member, allow_pickle=False)
    return Raw(splits, f"{path}[{chosen.label}]", chosen.unused)


def _header(file: Any, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array, once the bytes that they need are known to be there."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    if not dtype.hasobject and (
        dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize > size - file.tell()
    ):
        raise ValueError(f"shape {shape} and dtype {dtype} do not fit its {size:,} bytes")
    return shape, dtype
