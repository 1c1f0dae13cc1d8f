"""Train and test arrays as every source gives them: checked, split, or drawn at random."""

from typing import NamedTuple

import numpy as np

from ratedistortion.errors import DatasetError

_NUMBERS_A_BLOCK = 1 << 18  # random float64 numbers drawn at once: 2 MB, which fit a cache


class Splits(NamedTuple):
    """Train and test examples, (examples, dimensions) or (examples, height, width, channels).

    Both are uint8 or both float32; the value of an entry is stored * scale.
    """

    train: np.ndarray
    test: np.ndarray
    scale: float


def pair(train: np.ndarray, test: np.ndarray, source: str) -> Splits:
    """Train and test, checked and brought to uint8 or float32.

    Args:
        train: Booleans, whole numbers in 0 to 255 or finite floats, of shape (examples,
            dimensions), (examples, height, width) or (examples, height, width, channels). Float
            images lie in [0, 1]; flat floats may be any number.
        test: The same, with examples of the same shape.
        source: What to call the data in an error.

    Returns:
        The splits. The scale is 1 for floats and for whole numbers that are all 0 or 1, and 1/255
        for other whole numbers.

    Raises:
        DatasetError: If shape, dtype or values are others.
    """
    train, test = _checked(train, f"{source}, train"), _checked(test, f"{source}, test")
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise DatasetError(
            f"{source}: train and test must have examples of one shape and kind: got train "
            f"{train.shape[1:]} {train.dtype} and test {test.shape[1:]} {test.dtype}."
        )
    binary = train.dtype == np.uint8 and max(train.max(), test.max()) <= 1
    return Splits(train, test, 1.0 if binary or train.dtype == np.float32 else 1 / 255)


def split(array: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Train and test of a source that has one array: a sixth of it, drawn at random, is the test.

    Args:
        array: Of shape (examples, ...).
        source: What to call the data in an error.

    Returns:
        Train and test. Which examples are drawn depends on their number only.

    Raises:
        DatasetError: If there are fewer than two examples.
    """
    if array.ndim == 0 or len(array) < 2:
        raise DatasetError(
            f"{source} must have at least 2 examples, to split them into train and test: "
            f"got shape {array.shape}."
        )
    order = np.argsort(stream("split").random(len(array)), kind="stable")
    test = max(1, len(array) // 6)
    return array[order[test:]], array[order[:test]]


def stream(purpose: str) -> np.random.Generator:
    """A generator that gives the same random numbers each time.

    Args:
        purpose: What they are for. Different purposes have independent numbers.
    """
    return np.random.Generator(np.random.PCG64(list(purpose.encode())))


def coin_flips(values: np.ndarray, scale: float, random: np.random.Generator) -> np.ndarray:
    """Zeros and ones, each 1 with probability values * scale, in blocks that spare memory.

    Args:
        values: Of shape (examples, ...).
        scale: Brings the values to [0, 1].
        random: Gives one number for each value, in order. So the flips of an example do not
            depend on how many examples follow.

    Returns:
        uint8, in the shape of the values.
    """
    flips = np.empty(values.shape, np.uint8)
    block = max(1, _NUMBERS_A_BLOCK // values[0].size)
    for start in range(0, len(values), block):
        rows = slice(start, start + block)
        flips[rows] = random.random(values[rows].shape) < values[rows] * scale
    return flips


def reason(error: Exception) -> str:
    """What an error of another library says, in one line and without its full stop.

    Args:
        error: If it has no text, the name of its class is the reason.
    """
    return str(error).split("\n")[0].rstrip(". ") or type(error).__name__


def _checked(array: np.ndarray, what: str) -> np.ndarray:
    if array.ndim not in (2, 3, 4) or array.size == 0:
        raise DatasetError(
            f"{what}: the shape must be (examples, dimensions), (examples, height, width) or "
            f"(examples, height, width, channels), without zeros: got {array.shape}."
        )
    if array.dtype.kind in "bui":
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise DatasetError(
                f"{what}: whole numbers must lie in 0 to 255: got {low} to {high}; "
                "for other ranges save floats in [0, 1]."
            )
        array = array.astype(np.uint8, copy=False)
    elif array.dtype.kind == "f":
        array = _checked_floats(array, what)
    else:
        raise DatasetError(
            f"{what}: expected uint8, bool, whole numbers or floats: got dtype {array.dtype}."
        )
    return array[..., None] if array.ndim == 3 else array


def _checked_floats(array: np.ndarray, what: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(int(place) for place in np.unravel_index(finite.argmin(), array.shape))
        raise DatasetError(
            f"{what}: values must be finite in float32: got {array.size - finite.sum()} nan or inf "
            f"of {array.size}, the first at index {first}; remove or replace them."
        )
    if array.ndim > 2 and not (array.min() >= 0 and array.max() <= 1):
        raise DatasetError(
            f"{what}: float images must lie in [0, 1]: got {array.min():g} to {array.max():g}; "
            "rescale them, or save 8-bit images as uint8."
        )
    return array
