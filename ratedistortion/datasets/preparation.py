"""From images as their source gives them to the values that the likelihood asks for."""

import numpy as np

from ratedistortion.datasets.arrays import Splits, coin_flips, stream
from ratedistortion.datasets.dataset import as_models_see
from ratedistortion.errors import DatasetError
from ratedistortion.settings import LEVELLED, Settings

_ROUNDING = 1e-6  # by which scaled whole numbers may leave [0, 1]


def standardised(
    train: np.ndarray, test: np.ndarray, examples: int
) -> tuple[Splits, np.ndarray, np.ndarray]:
    """Vectors with mean 0 and standard deviation 1 in every dimension of the training split.

    Args:
        train: (examples, dimensions), any numbers.
        test: Likewise.
        examples: So many of `train` are the training split; validation examples follow.

    Returns:
        The splits in float32; and, of the training split, the means in float64 and the standard
        deviations in float32, 1 where a dimension never changes.
    """
    own = train[:examples]
    centre = own.mean(axis=0, dtype=np.float64)
    spread = own.std(axis=0, dtype=np.float64).astype(np.float32)
    # The sum of equal numbers is rounded, so that their deviation need not be 0.
    constant = (own.min(axis=0) == own.max(axis=0)) | (spread <= 1e-12 * np.abs(centre))
    spread[constant] = 1
    both = (as_models_see(part, centre, spread) for part in (train, test))
    return Splits(*both, scale=1.0), centre, spread


def binarisation(source: Splits, settings: Settings) -> str:
    """How to binarise: as asked, else dynamically where the bernoulli likelihood meets grey images.

    Args:
        source: As read and scaled.
        settings: Read are `binarize` and `likelihood`.

    Returns:
        One of the choices of `Settings.binarize`.
    """
    if settings.binarize is not None:
        return settings.binarize
    grey = source.train.ndim == 4 and (source.train.dtype == np.float32 or source.scale != 1)
    return "dynamic" if settings.likelihood == "bernoulli" and grey else "none"


def prepared(source: Splits, how: str, settings: Settings, name: str) -> Splits:
    """The splits as every model is measured on them: binarised or with fewer grey levels.

    Args:
        source: As read and scaled.
        how: How to binarise, from `binarisation`.
        settings: Read are `likelihood` and `levels`.
        name: What to call the data in an error.

    Returns:
        Splits of the same shape. With `binarize` dynamic, one fixed draw in the dtype and scale
        of the source.

    Raises:
        DatasetError: If the values do not suit the likelihood.
    """
    levelled = settings.likelihood in LEVELLED
    if levelled and how == "dynamic":
        raise DatasetError(
            f"{name}: binarize dynamic is not for likelihoods of grey levels: got"
            f" {settings.likelihood}; use --binarize none or static."
        )
    measured = binarized(source, how, name)
    if levelled:
        return quantized(measured, settings.levels, name)
    if settings.likelihood == "bernoulli":
        _check_binary(measured, name)
    return measured


def binarized(splits: Splits, how: str, name: str) -> Splits:
    """Zeros and ones from values in [0, 1].

    Args:
        splits: Values in [0, 1] after scaling.
        how: `none` (the splits as they are); `threshold` (1 where the value is at least one
            half); `static` (1 with the value as probability, by one draw that is always the
            same); `dynamic` (that draw, in the dtype and scale of the splits). What is drawn for
            an example depends on its place in the split, not on how many follow it.
        name: What to call the data in an error.

    Returns:
        uint8 with scale 1, except for `none` and `dynamic`.

    Raises:
        DatasetError: If a value is outside [0, 1].
    """
    if how == "none":
        return splits
    drawn = []
    for split, array in (("train", splits.train), ("test", splits.test)):
        low, high = array.min() * splits.scale, array.max() * splits.scale
        if not (low >= 0 and high <= 1 + _ROUNDING):
            raise DatasetError(
                f"{name}, {split}: only values in [0, 1] can be binarised: got {low:.4g} to"
                f" {high:.4g}; give --scale MAX, or --binarize none with --likelihood gaussian."
            )
        if how == "threshold":
            drawn.append((array >= 0.5 / splits.scale).astype(np.uint8))
        else:
            drawn.append(coin_flips(array, splits.scale, stream(f"static {split}")))
    if how != "dynamic":
        return Splits(*drawn, scale=1.0)
    one = np.asarray(round(1 / splits.scale), splits.train.dtype)
    return Splits(drawn[0] * one, drawn[1] * one, splits.scale)


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
    highest = max(splits.train.max(), splits.test.max()) * splits.scale
    if highest > 1 + _ROUNDING:
        raise DatasetError(
            f"{name}: grey levels must lie in [0, 1] after scaling: got {highest:.4g}; give --scale"
            " MAX, the number that is white."
        )
    own = round(1 / splits.scale) + 1
    if levels > own:
        raise DatasetError(
            f"{name} has {own} grey levels: got levels {levels}; use --levels {own}."
        )
    if levels == own:
        return splits
    train, test = (
        (part.astype(np.uint16) * levels // own).astype(np.uint8)
        for part in (splits.train, splits.test)
    )
    return Splits(train, test, scale=1 / (levels - 1))


def _check_binary(splits: Splits, name: str) -> None:
    for split, array in (("train", splits.train), ("test", splits.test)):
        other = (array != 0) & (array != np.asarray(round(1 / splits.scale), array.dtype))
        if not other.any():
            continue
        value = array.flat[other.argmax()] * splits.scale
        grey = array.min() >= 0 and array.max() * splits.scale <= 1
        choices = "--binarize static, dynamic or threshold, or " if grey else ""
        if array.ndim == 2 and array.dtype == np.uint8 and not grey:
            choices = "--scale 255, or whichever number is white, for flat grey images, or "
        likelihood = LEVELLED[0] if array.dtype == np.uint8 else "gaussian"
        raise DatasetError(
            f"{name}: the bernoulli likelihood needs values that are 0 or 1: got {value:.4g} in "
            f"{split}; use {choices}--likelihood {likelihood}."
        )
