"""The idx format, in which MNIST and Fashion-MNIST are published."""

import gzip
import math
import re
import zlib
from pathlib import Path

import numpy as np

from ratedistortion.datasets.arrays import Raw
from ratedistortion.errors import DatasetError
from ratedistortion.untrusted import MAX_PACKED

# Names of files such as train-images-idx3-ubyte, emnist-letters-test-images-idx3-ubyte.gz and
# t10k-images.idx3-ubyte.
_NAME = re.compile(
    r"(?P<family>.*?)-?(?P<split>train|t10k|test)-images[-.]idx3-ubyte(?P<packed>\.gz)?"
)
_MAGIC = b"\0\0\x08\x03"  # the first bytes of a file of unsigned bytes in three dimensions


def read_idx_folder(folder: Path, asked: dict[str, str] | None) -> Raw:
    """The images of a folder of idx files.

    Args:
        folder: Holds the images of training and of testing, under one of the names that MNIST and
            its relatives have, or has a folder `raw`, or `MNIST/raw` and the like, that does.
        asked: Split -> name of its file; None to go by the names.

    Returns:
        The images of both files. Labels are not looked at.

    Raises:
        DatasetError: If a file is missing or damaged, or files of two data sets are there.
    """
    for place in (folder, *sorted(folder.glob("raw")), *sorted(folder.glob("*/raw"))):
        files = {path.name: path for path in sorted(place.iterdir()) if path.is_file()}
        names = asked or _pair(list(files), str(folder))
        if names and all(name in files for name in names.values()):
            splits = {split: read_idx(files[name]) for split, name in names.items()}
            return Raw(splits, f"{place}[{', '.join(names.values())}]", layout="NHW")
    wanted = (
        " and ".join(asked.values())
        if asked
        else ("train-images-idx3-ubyte and t10k-images-idx3-ubyte, each plain or with .gz")
    )
    raise DatasetError(
        f"{folder} must hold {wanted}: it does not; give a folder of idx files, a prepared TFDS"
        " folder, an .npz or .npy file, or hf:imagefolder:DIR for a folder of images."
    )


def _pair(files: list[str], folder: str) -> dict[str, str] | None:
    """The files of training and of testing, if both are there; plain ones before packed ones."""
    found: dict[str, dict[str, str]] = {}
    for name in sorted(files, key=lambda name: name.endswith(".gz"), reverse=True):
        if match := _NAME.fullmatch(name):
            split = "train" if match["split"] == "train" else "test"
            found.setdefault(match["family"], {})[split] = name
    pairs = [names for names in found.values() if len(names) == 2]
    if len(pairs) > 1:
        raise DatasetError(
            f"{folder} holds files of several data sets, {', '.join(sorted(found))}: name those of"
            f" one, such as --arrays train={pairs[0]['train']},test={pairs[0]['test']}."
        )
    return {split: pairs[0][split] for split in ("train", "test")} if pairs else None


def read_idx(path: Path) -> np.ndarray:
    """The images of one idx file.

    Args:
        path: Plain or gzipped, whatever its name says.

    Returns:
        uint8, (images, height, width), as the header says.

    Raises:
        DatasetError: If the file cannot be read, or its header or length is wrong.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            header = file.read(16)
            if header[:4] != _MAGIC:
                raise DatasetError(
                    f"{path} must begin with {_MAGIC.hex(' ')}, as an idx file of images does: "
                    f"got {header[:4].hex(' ') or 'nothing'}."
                )
            shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in (4, 8, 12))
            # A gzip file of a few bytes can unpack to gigabytes: no more is read than is needed to
            # know that there is too much, and never more than images can shrink.
            most = MAX_PACKED * path.stat().st_size if packed else path.stat().st_size
            content = file.read(min(math.prod(shape), most) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {error}; copy it again.") from error
    if len(header) < 16 or len(content) != math.prod(shape):
        found = f"more than {math.prod(shape)}" if len(content) > math.prod(shape) else len(content)
        raise DatasetError(
            f"{path} is damaged: with images of shape {shape} it must have {math.prod(shape)} bytes"
            f" behind its header: got {found}; copy it again."
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
