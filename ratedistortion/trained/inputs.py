"""What a model is given: images, codes and seeds, checked before anything is computed."""

from typing import Any, NamedTuple

import jax
import numpy as np

from ratedistortion.datasets.dataset import as_models_see
from ratedistortion.errors import DatasetError, RateDistortionError, SettingsError
from ratedistortion.foreign import are_numbers, as_numpy
from ratedistortion.settings import LEVELLED, Settings

_ROUNDING = 1e-5  # by which values may miss a grey level


class Inputs(NamedTuple):
    """What a model knows of images and codes that it may be given.

    Attributes:
        settings: Of the sweep.
        shape: Of an image, or of a vector.
        latents: Dimensions of a code.
        data: The line that says what the sweep read, for errors.
        range: The least and the greatest number of it.
        centre: Subtracted from vectors; None of images, and so is
        spread: Vectors are divided by it.
    """

    settings: Settings
    shape: tuple[int, ...]
    latents: int
    data: str
    range: tuple[Any, Any]
    centre: np.ndarray | None
    spread: np.ndarray | None

    def images(self, x: Any, measured: bool = False) -> np.ndarray:
        """Images as models see them, flat, in float32.

        Args:
            x: As a program gives them: (N, *shape).
            measured: Whether the likelihood must know their values.

        Raises:
            DatasetError: If they are no such images.
        """
        expected = f"x must be numbers of shape (N, {', '.join(map(str, self.shape))})"
        shapes = [self.shape] + [self.shape[:-1]] * (len(self.shape) == 3 and self.shape[2] == 1)
        x = _rows_of(x, shapes, expected, DatasetError)
        x = x.reshape(len(x), -1)
        if x.dtype.kind == "V":  # float32 holds bfloat16 and the like exactly
            x = x.astype(np.float32)
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise DatasetError(
                f"x must be finite: got nan or inf, first in row"
                f" {int(np.isfinite(x).all(axis=1).argmin())}."
            )
        likelihood, (low, high) = self.settings.likelihood, (x.min(), x.max())
        least, greatest = self.range
        unit = self.spread is None and -_ROUNDING <= least and greatest <= 1 + _ROUNDING
        if unit and (len(self.shape) == 3 or likelihood != "gaussian"):
            if not (-_ROUNDING <= low and high <= 1 + _ROUNDING):
                raise DatasetError(
                    f"x must lie in 0 to 1, as the model was trained on {self.data}: got {low:g} to"
                    f" {high:g}; divide it likewise."
                )
        steps = {"bernoulli": 1, **dict.fromkeys(LEVELLED, self.settings.levels - 1)}
        if measured and likelihood in steps:
            levels = x * np.float64(steps[likelihood])
            if np.abs(levels - np.rint(levels)).max() > _ROUNDING * steps[likelihood]:
                raise DatasetError(
                    f"x must be multiples of 1/{steps[likelihood]} for the {likelihood} likelihood:"
                    " binarise it or cut its grey levels as the sweep did."
                )
        return as_models_see(x, self.centre, self.spread)

    def codes(self, z: Any) -> np.ndarray:
        """Codes in float32.

        Args:
            z: As a program gives them: (N, latents).

        Raises:
            SettingsError: If they are no such codes.
        """
        expected = f"z must be numbers of shape (N, {self.latents})"
        z = _rows_of(z, [(self.latents,)], expected, SettingsError)
        z = z.astype(np.float32)
        if not np.isfinite(z).all():
            code = int(np.argmin(np.isfinite(z).all(axis=1)))
            raise SettingsError(f"z must be finite: code {code} (from 0) is not.")
        return z


def _rows_of(
    value: Any, shapes: list[tuple[int, ...]], expected: str, error: type[RateDistortionError]
) -> np.ndarray:
    """Numbers in rows of one of these shapes, one row at least."""
    try:
        array = as_numpy(value)
    except ValueError as reason:
        raise error(f"{expected}: got {reason}.") from reason
    if not are_numbers(array) or array.ndim == 0 or array.shape[1:] not in shapes or not len(array):
        raise error(f"{expected}: got {array.dtype} of shape {array.shape}.")
    return array


def key_of(seed: Any) -> Any:
    """The key of JAX's for a seed that a program gives.

    Args:
        seed: A whole number from 0 to 2^32 - 1.

    Raises:
        SettingsError: If it is none.
    """
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 1 << 32:  # a larger one would be taken for a smaller one
        raise SettingsError(f"key must be a whole number from 0 to 2^32 - 1: got {seed!r}.")
    return jax.random.key(seed, impl="threefry2x32")
