"""Whole numbers as the grey levels that a discrete likelihood tells apart."""

import numpy as np

from ratedistortion.datasets.arrays import Splits
from ratedistortion.errors import DatasetError


def quantized(splits: Splits, levels: int, name: str) -> Splits:
    """The same images with `levels` grey levels, evenly spaced from 0 to 1.

    Args:
        splits: uint8, with 1 / scale + 1 levels of their own: 256, 17 for the digits, or 2.
        levels: How many to keep; with fewer than the data have, neighbours become one.
        name: What to call the data in an error.

    Returns:
        uint8 with scale 1 / (levels - 1).

    Raises:
        DatasetError: If the data are not whole numbers, or have fewer levels.
    """
    if splits.train.dtype != np.uint8:
        raise DatasetError(
            f"{name}: this likelihood needs 8-bit values: got {splits.train.dtype}; use"
            " --likelihood gaussian."
        )
    own = round(1 / splits.scale) + 1
    if levels > own:
        raise DatasetError(
            f"{name} has {own} grey levels: got levels {levels}; use --levels {own}."
        )
    if levels == own:
        return splits
    parts = [
        (part.astype(np.uint16) * levels // own).astype(np.uint8)
        for part in (splits.train, splits.test)
    ]
    return Splits(*parts, scale=1 / (levels - 1))
