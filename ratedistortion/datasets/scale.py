"""The value that stands for 1: what the stored numbers are divided by before a model sees them."""

from typing import NamedTuple

import numpy as np

from ratedistortion.errors import DatasetError
from ratedistortion.settings import LEVELLED, Settings
from ratedistortion.settings.settings import FIELDS

_ROUNDING = 1e-5  # by which values in [0, 1] may leave it: some libraries compute them in float32
_FLOAT32 = 3e-7  # relative error of numbers that were computed in float32
_CERTAIN = (255, 65535)  # the largest value of images of 8 and of 16 bits
_NUMBERS_A_BLOCK = 1 << 24  # numbers looked at at once: 64 MB of a file that is read in parts


class Facts(NamedTuple):
    """What the numbers of an array are.

    Attributes:
        low: The least.
        high: The largest.
        whole: Whether all are whole numbers, whatever the dtype.
    """

    low: float
    high: float
    whole: bool

    @property
    def binary(self) -> bool:
        """Whether all are 0 or 1."""
        return self.whole and 0 <= self.low and self.high <= 1

    def __str__(self) -> str:
        if self.binary:
            return "zeros and ones"
        kind = "whole numbers" if self.whole else "numbers"
        return f"{kind} {self.low:.6g} to {self.high:.6g}"


def facts(array: np.ndarray, what: str) -> Facts:
    """Looks at every number of an array, block by block.

    Args:
        array: Of shape (examples, ...).
        what: What to call the array in an error.

    Raises:
        DatasetError: If it holds anything but finite numbers.
    """
    if array.dtype.kind not in "buif":
        raise DatasetError(f"{what}: expected numbers or booleans: got dtype {array.dtype}.")
    low, high, whole = np.inf, -np.inf, True
    rows = max(1, _NUMBERS_A_BLOCK // array[0].size)
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        if block.dtype.kind == "f":
            _check_finite(block, what, start)
            nearest = np.rint(block)
            error = np.where(np.abs(nearest) <= _CERTAIN[-1], _FLOAT32 * np.abs(nearest), 0)
            whole = whole and bool((np.abs(block - nearest) <= error).all())
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    return Facts(low, high, whole)


class Scale(NamedTuple):
    """How stored numbers become what a model sees.

    Attributes:
        white: The stored number that becomes 1.
        exact: Whether uint8 holds all stored numbers, so that the division can wait.
        clipped: Whether values are brought back to [0, 1] that rounding has moved out of it.
        words: How to say it, such as `whole numbers 0 to 16, divided by 16`.
    """

    white: float
    exact: bool
    clipped: bool
    words: str

    def applied(self, array: np.ndarray) -> tuple[np.ndarray, float]:
        """Numbers in one of the two dtypes that training knows.

        Args:
            array: As it is stored.

        Returns:
            The stored numbers in uint8, or the model's in float32; and the factor that is left.
        """
        if self.exact:
            whole = np.rint(array) if array.dtype.kind == "f" else array
            return whole.astype(np.uint8, copy=False), 1 / self.white
        values = (array / self.white if self.white != 1 else array).astype(np.float32, copy=False)
        return (np.clip(values, 0, 1) if self.clipped else values), 1.0


def decide(
    found: dict[str, Facts], images: bool, white: float | None, settings: Settings, source: str
) -> Scale:
    """What the numbers of a data set are divided by.

    Args:
        found: Name of the split -> its numbers; `train` decides.
        images: Whether the examples are images.
        white: The number that becomes 1 as the source itself says; None where it says nothing.
        settings: Read are `scale`, `likelihood` and `levels`.
        source: What to call the data in an error.

    Raises:
        DatasetError: If it is not certain and `scale` does not say it, or if splits differ in kind
            or range.
    """
    train = found["train"]
    _check_alike(found, images or settings.likelihood in LEVELLED, source)
    low, high = min(each.low for each in found.values()), max(each.high for each in found.values())
    asked = settings.scale
    fraction = -_ROUNDING <= low and high <= 1 + _ROUNDING
    levelled = settings.likelihood in LEVELLED and train.whole
    typed = settings.levels != FIELDS["levels"].default
    if asked is not None:
        white = 1.0 if asked == "none" else float(asked)
    elif train.binary or (images and fraction):
        white = 1.0
    elif white is None:
        if images and train.whole and train.high in _CERTAIN:
            white = train.high
        elif levelled and 0 <= low and high < settings.levels and (typed or not images):
            white = settings.levels - 1.0
        elif images or levelled:
            raise DatasetError(f"{source} {_question(train, images)}")
        else:
            white = 1.0
    slack = _ROUNDING * white * (not train.whole)
    if white != 1 and not (-slack <= low and high <= white + slack):
        raise DatasetError(
            f"{source} reaches from {low:g} to {high:g}: to divide it by {white:g} it must lie in 0"
            f" to {white:g}; give another --scale MAX, or --scale none."
        )
    whole = all(each.whole for each in found.values())
    exact = whole and 0 <= low and high <= 255 >= white and float(white).is_integer()
    words = str(train)
    if white != 1:
        words += f", divided by {white:g}"
    elif not train.binary and not fraction:
        words += ", as they are"
    clipped = not train.whole and (white != 1 or (images and fraction))
    return Scale(white, exact, clipped, words)


def _check_alike(found: dict[str, Facts], strict: bool, source: str) -> None:
    """Refuses images of which one split is binarised, or rescaled, and the other is not."""
    train = found["train"]
    for name, other in found.items():
        if strict and (other.whole, other.binary) != (train.whole, train.binary):
            raise DatasetError(
                f"{source}: the splits must hold numbers of one kind: train has {train}, {name} has"
                f" {other}; save both in the same way."
            )


def _question(train: Facts, images: bool) -> str:
    text = f"has {'images' if images else 'grey levels'} of {train}: give "
    if train.low >= 0:
        bits = next((most for most in _CERTAIN if train.whole and train.high < most), None)
        text += f"--scale {bits} if they are of {8 if bits == 255 else 16} bits, " * bool(bits)
        text += f"--scale {train.high:.9g} if the largest number is white, or "
    return text + "--scale none to take them as they are."


def _check_finite(block: np.ndarray, what: str, start: int) -> None:
    with np.errstate(over="ignore"):
        finite = np.isfinite(block.astype(np.float32, copy=False))
    if not finite.all():
        first = [int(place) for place in np.unravel_index(finite.argmin(), block.shape)]
        raise DatasetError(
            f"{what}: values must be finite in float32: got nan or inf, first in row"
            f" {start + first[0]} at {tuple(first[1:])}; remove or replace such values."
        )
