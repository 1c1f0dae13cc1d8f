"""Images from the record files of TFDS, without TensorFlow."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.datasets.tfrecord import tfrecords
from ratedistortion.errors import DatasetError

_RECORDS_A_SLICE = 4096  # records that are read from an ArrayRecord file at once
_NUMBERS = ("I;16", "I;16B", "I;16L", "I", "F")  # modes of one channel with more than 8 bits
# Pillow hands some other formats to programs of the system, such as Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # channels -> Pillow's name of the mode


def read_images(
    paths: list[Path], file_format: str, feature: str, channels: int, rows: np.ndarray
) -> np.ndarray:
    """Images of a split, in the order of its files.

    Args:
        paths: The split's record files.
        file_format: A key of `RECORDS`.
        feature: Name of the image in each record.
        channels: 1, 2, 3 or 4.
        rows: Numbers of the records to decode, ascending.

    Returns:
        uint8, (rows, height, width, channels).

    Raises:
        DatasetError: If the images differ in size.
        ValueError: If there are fewer records, or one is damaged.
        OSError: If a file or an image cannot be read.
    """
    from tensorflow_datasets.proto import tf_example_pb2

    example: Any = tf_example_pb2.Example  # pyright: ignore[reportAttributeAccessIssue]
    records = itertools.chain.from_iterable(map(RECORDS[file_format], paths))
    images = np.empty(0, np.uint8)
    wanted, read, number = set(rows.tolist()), 0, 0
    for number, record in enumerate(itertools.islice(records, rows[-1] + 1), start=1):
        if number - 1 not in wanted:
            continue
        features = example.FromString(record).features.feature
        if not features[feature].bytes_list.value:
            raise ValueError(f"record {number} has no {feature!r}")
        image = decode(features[feature].bytes_list.value[0], channels)
        if read == 0:
            images = np.empty((len(rows), *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise DatasetError(
                f"{paths[0].parent}: images must be of one size: got {images.shape[1:]} and, as "
                f"number {number}, {image.shape}; resize them and give an .npz file."
            )
        images[read] = image
        read += 1
    if read < len(rows):
        raise ValueError(f"expected {rows[-1] + 1} records, got {number}")
    return images


def decode(encoded: bytes, channels: int | None) -> np.ndarray:
    """The pixels of one image.

    Args:
        encoded: The content of a PNG or JPEG file, or of another of `_FORMATS`.
        channels: 1, 2, 3 or 4. An image with another number is converted. None keeps what the
            image has, but for colours from a palette, which become red, green and blue.

    Returns:
        uint8, or what the image has of more than 8 bits in one channel: (height, width, channels).

    Raises:
        OSError: If Pillow cannot read it, or if it has several frames.
    """
    from PIL import Image, ImageOps

    image: Any = Image.open(io.BytesIO(encoded), formats=_FORMATS)
    if channels is None:
        if getattr(image, "n_frames", 1) > 1:
            raise OSError(f"it has {image.n_frames} frames")
        image = ImageOps.exif_transpose(image)  # as the camera was held
    if channels is not None or image.mode not in (*_MODES.values(), *_NUMBERS):
        grey = channels is None and image.mode == "1"
        image = image.convert("L" if grey else _MODES[channels or 3])
    pixels = np.asarray(image)
    return pixels.reshape(image.height, image.width, -1)


def array_records(path: Path) -> Iterator[bytes]:
    """The records of an ArrayRecord file, in order.

    Args:
        path: The file.
    """
    # TFDS would read through ArrayRecordDataSource, which logs an ERROR line for every file whose
    # records are packed in groups. This is the reader below it.
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(path))
    try:
        for start in range(0, reader.num_records(), _RECORDS_A_SLICE):
            yield from reader.read(start, min(start + _RECORDS_A_SLICE, reader.num_records()))
    finally:
        reader.close()


# Format of a prepared set -> the function that reads the records of a file.
RECORDS = {"array_record": array_records, "tfrecord": tfrecords}
