"""A data set as training and measuring see it: arrays, their scale and their hash."""

import dataclasses
import functools
import hashlib

import numpy as np

# Largest absolute value that networks are made for. Standardised vectors hardly ever exceed it.
_MAX_VALUE = 8.0
_PREVIEWED, _BINS = 32, 64  # examples of each split, and bins of the histogram, of a preview


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images or vectors to train on and to measure on.

    The value that a model sees is stored * scale. Arrays are of shape (examples, dimensions), in
    float32 if the data are floats and in uint8 otherwise.

    Attributes:
        name: The data set as the user gave it.
        train: The examples that training reads, and behind them those of a validation split where
            there is one and `select` is best.
        splits: The examples that every model is measured on, by the name of the split, "train"
            and "test", in the dtype and scale of `train`. Unless `dynamic`, `splits["train"]` is
            the same array object as `train`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
        scale: 1/255 for 8-bit images, 1/16 for the digits, 1 for floats and for zeros and ones.
        dynamic: Whether training must draw fresh Bernoulli(value) pixels at every step. If so,
            `train` holds the probabilities, and `splits` one fixed draw, stored as 0 and 1/scale.
        sha256: Of the bytes, shapes and dtypes of all arrays.
        stamps: Size and time of its files before they were read, as from the function `stamps`.
        held_out: How many examples of `train`, the last ones, are of a validation split.
        centre: What was subtracted from each dimension of a vector, and
        spread: what it was then divided by, before `train` and `splits` were made; None where the
            data are as they were stored. D is that of the data in their own units.
        description: One line that says what was read, how it was scaled and what was not used.
    """

    name: str
    train: np.ndarray
    splits: dict[str, np.ndarray]
    shape: tuple[int, ...]
    scale: float
    dynamic: bool
    sha256: str
    stamps: dict[str, list[int]] | None
    description: str
    held_out: int = 0
    centre: np.ndarray | None = None
    spread: np.ndarray | None = None

    def in_own_units(self, values: np.ndarray) -> np.ndarray:
        """Values as they were before they were standardised.

        Args:
            values: What models see, (..., dimensions) for vectors.
        """
        return in_own_units(values, self.centre, self.spread)

    @functools.cached_property
    def distinct(self) -> dict[str, int]:
        """The number of different images of each split."""
        return {
            name: len({hash(row.tobytes()) for row in rows}) for name, rows in self.splits.items()
        }

    def preview(self) -> dict[str, np.ndarray]:
        """What `rd-plot --kind data` draws of the data as models see them.

        Returns:
            `train` and `test`, the first examples of each split in float32; `edges`, of the bins
            of a histogram, with `train_counts` and `test_counts`; and `mean`, of what is trained
            on.
        """
        rows = {name: self.in_own_units(part) for name, part in self.splits.items()}
        low = min(float(part.min()) for part in rows.values())
        high = max(float(part.max()) for part in rows.values())
        edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)  # as stored
        mean = self.in_own_units(self.train.mean(axis=0) * self.scale)
        arrays = {"edges": edges * self.scale, "mean": mean.astype(np.float32).reshape(self.shape)}
        for name, part in rows.items():
            arrays[name] = (part[:_PREVIEWED] * np.float32(self.scale)).reshape(-1, *self.shape)
            arrays[f"{name}_counts"] = np.histogram(part, edges)[0]
        return arrays

    @functools.cached_property
    def range(self) -> tuple[float, float]:
        """The least and the largest value that a model sees in training."""
        return float(self.train.min() * self.scale), float(self.train.max() * self.scale)

    @functools.cached_property
    def far_from_unit_scale(self) -> str | None:
        """Advice for a run that diverged, if the data have values too large for networks."""
        low, high = self.range
        if max(-low, high) <= _MAX_VALUE:
            return None
        if self.spread is not None:
            return f"a column reaches {max(-low, high):.3g} standard deviations: clip outliers"
        return f"the data reach from {low:.3g} to {high:.3g}: standardise them"


def in_own_units(
    values: np.ndarray, centre: np.ndarray | None, spread: np.ndarray | None
) -> np.ndarray:
    """Values as they were before they were standardised.

    Args:
        values: What models see, (..., dimensions) for vectors.
        centre: As of a `Dataset`; None leaves the values as they are, and so does
        spread: None.
    """
    if spread is None or centre is None:
        return values
    return (values * spread + centre).astype(np.float32)


def as_models_see(
    values: np.ndarray, centre: np.ndarray | None, spread: np.ndarray | None
) -> np.ndarray:
    """Values in their own units as models see them: the inverse of `in_own_units`.

    Args:
        values: (..., dimensions) for vectors.
        centre: As of a `Dataset`; None leaves the values as they are, and so does
        spread: None.

    Returns:
        Values in float32.
    """
    if spread is not None and centre is not None:
        values = (values - centre) / spread
    return values.astype(np.float32)


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
