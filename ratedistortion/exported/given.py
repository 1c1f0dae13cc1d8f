"""The arrays that were exported, by name, and the words for what is wrong with one."""

from typing import Any, NoReturn

import numpy as np

from ratedistortion.errors import SettingsError
from ratedistortion.foreign import are_numbers

# Arrays whose first axis is not that of the images.
_NOT_IMAGES = ("own", "chosen", "prior_mean", "prior_scale", "prior_weights")


class Given:
    """Arrays by name; every error names the source and, where there is one, the image.

    Args:
        arrays: Name -> array, number or text.
        where: What errors call the source.
    """

    def __init__(self, arrays: dict[str, Any], where: str) -> None:
        self._arrays, self._where = arrays, where

    def has(self, name: str) -> bool:
        """Whether it was exported.

        Args:
            name: Of the array.
        """
        return name in self._arrays

    def refuse(self, text: str) -> NoReturn:
        """Raises an error with the name of the source before the text.

        Args:
            text: What was expected and what was got, without a full stop.

        Raises:
            SettingsError: Always.
        """
        raise SettingsError(f"{self._where}: {text}.")

    def names(self) -> str:
        """What was exported, in words."""
        return ", ".join(sorted(self._arrays)) or "nothing"

    def text(self, name: str) -> str | None:
        """A text or a number as text; None if it was not exported.

        Args:
            name: Of it.
        """
        return str(self._arrays[name]) if name in self._arrays else None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array that was exported.

        Args:
            name: Of the array.
        """
        return np.shape(self._arrays[name])

    def raw(self, name: str) -> Any:
        """An array that was exported, as it is.

        Args:
            name: Of the array.
        """
        return self._arrays[name]

    def numbers(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray | None:
        """An array in float64; None if it was not exported.

        Args:
            name: Of the array.
            shape: That it must have; None stands for any length.

        Raises:
            SettingsError: If it is no array of numbers of this shape, or one is not finite.
        """
        if name not in self._arrays:
            return None
        array = np.asarray(self._arrays[name])
        fits = len(shape) == array.ndim and all(
            n in (None, m) for n, m in zip(shape, array.shape, strict=False)
        )
        if not are_numbers(array) or not fits or not array.size:
            words = " x ".join("any" if n is None else f"{n:,}" for n in shape) or "one number"
            got = f"{' x '.join(f'{n:,}' for n in array.shape) or 'one number'} of {array.dtype}"
            self.refuse(f"{name} must be numbers of shape {words}: got {got}")
        array = array.astype(np.float64)
        self.first_wrong(name, ~np.isfinite(array), array, "finite")
        return array

    def first_wrong(self, name: str, wrong: Any, array: np.ndarray, expected: str) -> None:
        """Refuses an array some of whose numbers are wrong, and names the first of them.

        Args:
            name: Of the array, for the error.
            wrong: Which are wrong.
            array: The numbers.
            expected: What they must be, in words.

        Raises:
            SettingsError: If one is wrong.
        """
        if np.any(wrong):
            place = np.unravel_index(int(np.argmax(wrong)), np.shape(wrong))
            what = "number" if name in _NOT_IMAGES else "image"
            of = f" of {what} {place[0]} (from 0)" if place else ""
            self.refuse(f"{name}{of} must be {expected}: got {array[place]:g}")

    def positive(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray | None:
        """What `numbers` returns, once all are above 0.

        Args:
            name: As for `numbers`, as is `shape`.
            shape: That it must have.

        Raises:
            SettingsError: As of `numbers`, or if one is not above 0.
        """
        array = self.numbers(name, shape)
        if array is not None:
            self.first_wrong(name, array <= 0, array, "above 0")
        return array
