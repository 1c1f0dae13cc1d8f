"""The NumPy formats `.npz` and `.npy`. Python objects in them are never unpickled."""

from pathlib import Path

import numpy as np

from ratedistortion.datasets.arrays import Splits, pair, reason, split
from ratedistortion.errors import DatasetError

_PAIRS = (("train", "test"), ("x_train", "x_test"))
# Suffix -> the bytes that a file of this format begins with. An .npz file is a zip file; the second
# signature is that of an empty zip file.
SUFFIXES = {".npz": (b"PK\3\4", b"PK\5\6"), ".npy": (b"\x93NUMPY",)}


def read_numpy(path: Path) -> Splits:
    """The data of an `.npz` or `.npy` file.

    Args:
        path: An `.npz` with arrays `train` and `test`, or `x_train` and `x_test`; other arrays,
            such as labels, are ignored. Or an `.npz` with one array or one called `images`, or an
            `.npy`: this array is split into train and test.

    Returns:
        The splits, checked.

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
            loaded = np.load(file, allow_pickle=False)
            arrays = [loaded]
            if not isinstance(loaded, np.ndarray):
                arrays = [np.asarray(loaded[name]) for name in _choose(loaded.files, path)]
    except DatasetError:
        raise
    except Exception as error:
        if "allow_pickle" in str(error):
            raise DatasetError(
                f"{path} holds Python objects, which are never unpickled: save arrays of uint8 or "
                "floats."
            ) from None
        raise DatasetError(
            f"{path} cannot be read, it is damaged or no {path.suffix} file: {reason(error)}."
        ) from error
    train, test = arrays if len(arrays) == 2 else split(arrays[0], str(path))
    return pair(train, test, str(path))


def _choose(names: list[str], path: Path) -> tuple[str, ...]:
    for chosen in (*_PAIRS, ("images",)):
        if set(chosen) <= set(names):
            return chosen
    if len(names) == 1:
        return (names[0],)
    raise DatasetError(
        f"{path} must hold arrays called train and test, or images, or one array: "
        f"got {', '.join(names) or 'none'}."
    )
