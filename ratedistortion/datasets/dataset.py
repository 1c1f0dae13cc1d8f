"""A data set as training and measuring see it: arrays, their scale and their hash."""

import dataclasses
import functools
import hashlib

import numpy as np

# Largest absolute value that networks are made for. Standardised vectors hardly ever exceed it.
_MAX_VALUE = 8.0


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images or vectors to train on and to measure on.

    The value that a model sees is stored * scale. Arrays are of shape (examples, dimensions), in
    float32 if the data are floats and in uint8 otherwise.

    Attributes:
        name: The data set as the user gave it.
        train: The examples that training reads.
        splits: The examples that every model is measured on, by the name of the split, "train"
            and "test", in the dtype and scale of `train`. Unless `dynamic`, `splits["train"]` is
            the same array object as `train`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
        scale: 1/255 for 8-bit images, 1/16 for the digits, 1 for floats and for zeros and ones.
        dynamic: Whether training must draw fresh Bernoulli(value) pixels at every step. If so,
            `train` holds the probabilities, and `splits` one fixed draw, stored as 0 and 1/scale.
        sha256: Of the bytes, shapes and dtypes of all arrays.
        stamps: Size and time of its files before they were read, as from the function `stamps`.
    """

    name: str
    train: np.ndarray
    splits: dict[str, np.ndarray]
    shape: tuple[int, ...]
    scale: float
    dynamic: bool
    sha256: str
    stamps: dict[str, list[int]] | None

    @functools.cached_property
    def distinct(self) -> dict[str, int]:
        """The number of different images of each split."""
        return {name: len({row.tobytes() for row in rows}) for name, rows in self.splits.items()}

    @functools.cached_property
    def far_from_unit_scale(self) -> str | None:
        """Advice for a run that diverged, if the data have values too large for networks."""
        low, high = self.train.min() * self.scale, self.train.max() * self.scale
        if max(-low, high) <= _MAX_VALUE:
            return None
        return f"the data reach from {low:.3g} to {high:.3g}: standardise them"


def arrays_sha256(arrays: dict[str, np.ndarray]) -> str:
    """Hash of arrays with their names, dtypes and shapes.

    Args:
        arrays: Their order matters.

    Returns:
        SHA-256 as 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
