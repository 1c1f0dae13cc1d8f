"""Grey values to zeros and ones: by threshold, by one draw, or by a fresh draw at every step."""

import numpy as np

from ratedistortion.datasets.arrays import Splits, stream
from ratedistortion.errors import DatasetError

_NUMBERS_A_BLOCK = 1 << 20


def binarized(splits: Splits, how: str, source: str) -> Splits:
    """Zeros and ones from values in [0, 1].

    Args:
        splits: Values in [0, 1] after scaling.
        how: `none` (the splits as they are); `threshold` (1 where the value is at least one
            half); `static` (1 with the value as probability, by one draw that is always the
            same); `dynamic` (that draw, in the dtype and scale of the splits). What is drawn for
            an example depends on its place in the split, not on how many follow it.
        source: What to call the data in an error.

    Returns:
        uint8 with scale 1, but for `none` and `dynamic`.

    Raises:
        DatasetError: If a value is outside [0, 1].
    """
    if how == "none":
        return splits
    drawn = []
    for name, array in (("train", splits.train), ("test", splits.test)):
        if array.dtype == np.float32 and not (array.min() >= 0 and array.max() <= 1):
            raise DatasetError(
                f"{source}, {name}: only values in [0, 1] can be binarised: got {array.min():.4g} "
                f"to {array.max():.4g}; use --binarize none with --likelihood gaussian."
            )
        if how == "threshold":
            drawn.append((array >= 0.5 / splits.scale).astype(np.uint8))
        else:
            drawn.append(_draw(array, splits.scale, stream(f"static {name}")))
    if how != "dynamic":
        return Splits(*drawn, scale=1.0)
    one = np.asarray(round(1 / splits.scale), splits.train.dtype)
    return Splits(drawn[0] * one, drawn[1] * one, splits.scale)


def _draw(array: np.ndarray, scale: float, random: np.random.Generator) -> np.ndarray:
    drawn = np.empty(array.shape, np.uint8)
    # In blocks: the random numbers of all of MNIST would take 376 MB.
    block = max(1, _NUMBERS_A_BLOCK // array[0].size)
    for start in range(0, len(array), block):
        rows = slice(start, start + block)
        drawn[rows] = random.random(array[rows].shape) < array[rows] * scale
    return drawn
