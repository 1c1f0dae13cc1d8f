"""The NumPy formats `.npz` and `.npy`. Python objects in them are never unpickled."""

from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.datasets.arrays import Raw, reason
from ratedistortion.datasets.names import choose
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings
from ratedistortion.untrusted import Npz, npy_header

# Suffix -> the bytes that a file of this format begins with. An .npz file is a zip file; the second
# signature is that of an empty zip file.
SUFFIXES = {".npz": (b"PK\3\4", b"PK\5\6"), ".npy": (b"\x93NUMPY",)}


def read_numpy(path: Path, settings: Settings) -> Raw:
    """The data of an `.npz` or `.npy` file.

    Args:
        path: The file. The array of an `.npy` file stays on disk and is read where it is needed;
            of an `.npz` only the chosen arrays are read.
        settings: Read are `arrays` and `select`, to choose the arrays of an `.npz`.

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
            if not file.read(6).startswith(SUFFIXES[path.suffix.lower()]):
                raise ValueError(f"it does not begin as an {path.suffix} file does")
            file.seek(0)
            if path.suffix.lower() == ".npy":
                if settings.arrays:
                    raise DatasetError(f"{path} has one array, without a name: leave out --arrays.")
                if npy_header(file, path.stat().st_size)[1].hasobject:
                    raise _ObjectsError
                return Raw({"train": np.load(path, mmap_mode="r")}, str(path))
            return _read_npz(file, path, settings)
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


def _read_npz(file: Any, path: Path, settings: Settings) -> Raw:
    npz = Npz(file)
    objects = [name for name in npz.shapes if npz.has_objects(name)]
    if objects and len(objects) == len(npz.shapes):
        raise _ObjectsError
    chosen = choose(npz.shapes, settings, str(path))
    if set(chosen.names.values()) & set(objects):
        raise _ObjectsError
    splits = {split: npz.read(name) for split, name in chosen.names.items()}
    return Raw(splits, f"{path}[{chosen.label}]", chosen.unused)
