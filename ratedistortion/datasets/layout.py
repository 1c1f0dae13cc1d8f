"""Which axis of an array counts the examples, and which are height, width and channels."""

import math

import numpy as np

from ratedistortion.errors import DatasetError

# The axes of an array by the number of its dimensions; the first reading is the usual one. N counts
# examples, D the numbers of a vector; H, W and C are height, width and channels.
_READINGS = {2: ("ND", "DN"), 3: ("NHW", "HWN"), 4: ("NHWC", "NCHW", "HWCN")}
_CHANNELS = (1, 2, 3, 4)
# Images that are not square are at most so many times as wide, or high, as there are images.
_MANY = 4
_FEW = 16  # so many images, or pixels in a row, are no channels


def arranged(
    splits: dict[str, np.ndarray],
    layout: str | None,
    shape: tuple[int, ...] | None,
    source: str,
) -> tuple[dict[str, np.ndarray], str]:
    """Splits as (examples, dimensions) or (examples, height, width, channels).

    Args:
        splits: Name of the split -> array as it is stored, of 2 to 4 dimensions.
        layout: What the axes mean, such as `NCHW`; None to find out.
        shape: (height, width) or (height, width, channels) that flat vectors stand for, row by
            row; None where they are not images.
        source: What to call the data in an error.

    Returns:
        The splits, as views; and what to say of the axes: empty for the usual ones.

    Raises:
        DatasetError: If the axes can be read in two ways, or in none, or splits differ in shape.
    """
    for name, array in splits.items():
        if array.ndim not in _READINGS or 0 in array.shape:
            raise DatasetError(
                f"{source}, {name}: the shape must be (examples, dimensions), (examples, height,"
                f" width) or (examples, height, width, channels), without zeros: got {array.shape}."
            )
    if len({array.ndim for array in splits.values()}) > 1:
        raise DatasetError(f"{source}: splits must have examples of one shape: {_shapes(splits)}.")
    axes = layout or ("ND" if shape else _guess(splits, source))
    if sorted(axes) not in [sorted(known) for known in _READINGS[_dimensions(splits)]]:
        raise DatasetError(
            f"{source}: --layout {axes} does not suit {_shapes(splits)}: expected"
            f" {', '.join(_READINGS[_dimensions(splits)])} or another order of these letters."
        )
    usual = _READINGS[_dimensions(splits)][0]
    turned = {
        name: array.transpose([axes.index(axis) for axis in usual])
        for name, array in splits.items()
    }
    if len({array.shape[1:] for array in turned.values()}) > 1:
        raise DatasetError(f"{source}: splits must have examples of one shape: {_shapes(splits)}.")
    said = "" if axes == usual else f"read as {axes}"
    if shape is not None:
        turned = {name: _as_images(array, shape, source) for name, array in turned.items()}
    return {name: a[..., None] if a.ndim == 3 else a for name, a in turned.items()}, said


def _guess(splits: dict[str, np.ndarray], source: str) -> str:
    """The one reading of the axes that is plausible for all splits."""
    readings = _READINGS[_dimensions(splits)]
    fitting = [axes for axes in readings if _possible(axes, splits)]
    if len(fitting) == 1:
        return fitting[0]
    meanings = " or ".join(f"--layout {axes} ({_meaning(axes, splits)})" for axes in readings)
    found = "can be read in more than one way" if fitting else "looks like no array of images"
    raise DatasetError(f"{source}: {_shapes(splits)} {found}; give {meanings}.")


def _possible(axes: str, splits: dict[str, np.ndarray]) -> bool:
    """Whether all splits then have examples of one shape, which looks like that of an example."""
    sizes = [dict(zip(axes, array.shape, strict=True)) for array in splits.values()]
    if len({tuple(size[axis] for axis in axes if axis != "N") for size in sizes}) > 1:
        return False
    size, examples = sizes[0], max(size["N"] for size in sizes)
    if "D" in axes:
        certain = len({each["N"] for each in sizes}) > 1  # two splits share their dimensions
        return axes == "ND" or certain or examples > size["D"]
    height, width = size["H"], size["W"]
    if axes == "NHW":
        photo = width in _CHANNELS[2:] and min(examples, height) >= _FEW  # (H, W, C) of one image
        return not photo and (height == width or max(height, width) <= _MANY * examples)
    if axes == "HWN" and height != width:  # nor are they square images with examples first
        alike = max(height, width) <= 2 * min(height, width)
        return examples >= _FEW and alike and width != examples
    return size.get("C", 1) in _CHANNELS and (axes == "NHWC" or height == width)


def _meaning(axes: str, splits: dict[str, np.ndarray]) -> str:
    size = dict(zip(axes, next(iter(splits.values())).shape, strict=True))
    if "D" in axes:
        return f"{size['N']:,} vectors of {size['D']:,} numbers"
    channels = f" × {size['C']}" if "C" in size else ""
    return f"{size['N']:,} images of {size['H']} × {size['W']}{channels}"


def _dimensions(splits: dict[str, np.ndarray]) -> int:
    return next(iter(splits.values())).ndim


def _shapes(splits: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in splits.items())


def _as_images(array: np.ndarray, shape: tuple[int, ...], source: str) -> np.ndarray:
    if array.ndim != 2 or math.prod(shape) != array.shape[1]:
        wanted = "x".join(map(str, shape))
        raise DatasetError(
            f"{source}: --shape {wanted} is for vectors of {math.prod(shape)} numbers: got examples"
            f" of shape {array.shape[1:]}."
        )
    return array.reshape(len(array), *shape)
