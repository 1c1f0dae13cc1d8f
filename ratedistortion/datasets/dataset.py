"""What a data set is to everyone else: arrays, their scale and their hash."""

import dataclasses
import functools
import hashlib

import numpy as np

# Standardised vectors of any size hardly have a value as large.
_FAR = 8.0


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Examples to train on and to measure on, in the smallest dtype that holds them.

    The value that a model sees is stored * scale. Arrays are (examples, dimensions), uint8, or
    float32 where the data are floats.

    Attributes:
        name: The data set as the user gave it.
        train: What training reads.
        splits: "train" and "test", what every model is measured on, in the dtype and scale of
            `train`. "train" is the same array object as `train`, unless `dynamic`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
        scale: 1/255 for 8-bit images, 1/16 for the digits, 1 for zeros and ones and for floats.
        dynamic: Whether training must draw fresh Bernoulli(value) pixels at every step. If so,
            `train` holds the probabilities, and `splits` one fixed draw, stored as 0 and 1/scale.
        sha256: Of the bytes, shapes and dtypes of all arrays.
        stamps: Size and time of its files before they were read, as `stamps` has them.
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
        """How many different images each split has."""
        return {name: len({row.tobytes() for row in rows}) for name, rows in self.splits.items()}

    @functools.cached_property
    def far_from_unit_scale(self) -> str | None:
        """What to say of a run that diverged on values that networks are not made for."""
        low, high = self.train.min() * self.scale, self.train.max() * self.scale
        if max(-low, high) <= _FAR:
            return None
        return f"the data reach from {low:.3g} to {high:.3g}: standardise them"


def arrays_sha256(arrays: dict[str, np.ndarray]) -> str:
    """Hash of named arrays: bytes, shapes, dtypes and names, in the order given."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
