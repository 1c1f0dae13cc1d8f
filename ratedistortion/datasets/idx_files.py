"""The idx format, in which MNIST and Fashion-MNIST are published."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ratedistortion.datasets.arrays import Splits, pair
from ratedistortion.errors import DatasetError

_MAGIC = b"\0\0\x08\x03"  # the first bytes of a file of unsigned bytes in three dimensions


def read_idx_folder(folder: Path) -> Splits:
    """The images of a folder of idx files.

    Args:
        folder: Holds `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, each plain or with
            `.gz`. Labels are ignored.

    Returns:
        The splits, checked.

    Raises:
        DatasetError: If a file is missing or damaged.
    """
    arrays = []
    for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"):
        paths = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        if not paths:
            raise DatasetError(
                f"{folder} must hold {name} or {name}.gz: found neither; give a folder of idx "
                "files, a prepared TFDS folder, or an .npz or .npy file."
            )
        arrays.append(read_idx(paths[0]))
    return pair(*arrays, source=str(folder))


def read_idx(path: Path) -> np.ndarray:
    """The images of one idx file.

    Args:
        path: A gzip file if its name ends in `.gz`.

    Returns:
        uint8, (images, height, width), as the header says.

    Raises:
        DatasetError: If the file cannot be read, or its header or length is wrong.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {error}; copy it again.") from error
    if content[:4] != _MAGIC:
        raise DatasetError(
            f"{path} must begin with {_MAGIC.hex(' ')}, as an idx file of images does: "
            f"got {content[:4].hex(' ') or 'nothing'}."
        )
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in (4, 8, 12))
    if len(content) != 16 + math.prod(shape):
        raise DatasetError(
            f"{path} is damaged: with images of shape {shape} it must have "
            f"{16 + math.prod(shape)} bytes: got {len(content)}; copy it again."
        )
    return np.frombuffer(content, np.uint8, offset=16).reshape(shape)
