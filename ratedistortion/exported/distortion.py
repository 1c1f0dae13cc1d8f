"""The distortion of every image: as it was exported, or by data, reconstruction and likelihood."""

import math
from typing import NamedTuple

import numpy as np

from ratedistortion.exported.given import Given

_LIKELIHOODS = ("bernoulli", "gaussian")
# Mean squared error, in variances of the data, above which a reconstruction may have other units
# than the data: it would be about 1 if every number were reconstructed as their mean.
_MAX_ERROR = 1.1


class Distortion(NamedTuple):
    """What is known of D and of the data.

    Attributes:
        values: -log p(x|z) of every image in nats, (images,); None where it is not known.
        least: The least that a value can be.
        dimensions: Of an image; None where it is not known.
        distinct: How many images are different; None where it is not known.
        notes: What is wrong with the numbers, though they can be computed with.
    """

    values: np.ndarray | None
    least: float
    dimensions: int | None
    distinct: int | None
    notes: list[str]


def distortion_of(given: Given, images: int) -> Distortion:
    """The distortion of every image, and what its data tell.

    Args:
        given: May have `distortion`, or `data`, `reconstruction` and `likelihood`.
        images: How many there are.

    Raises:
        SettingsError: If something is missing, has another shape, or is said in two ways.
    """
    data, dimensions = _data(given, images)
    distinct = None if data is None else len({hash(row.tobytes()) for row in data})
    likelihood, least = given.text("likelihood"), -math.inf
    scale, notes = given.positive("likelihood_scale", ()), []
    if likelihood == "bernoulli":
        least = 0.0
    elif likelihood == "gaussian" and scale is not None and dimensions is not None:
        least = dimensions * (math.log(float(scale)) + 0.5 * math.log(2 * math.pi))
    values = given.numbers("distortion", (images,))
    if given.has("reconstruction"):
        if values is not None:
            given.refuse("distortion and reconstruction both say D: leave one out")
        if data is None or likelihood not in _LIKELIHOODS:
            given.refuse(
                f"reconstruction needs data and likelihood, {' or '.join(_LIKELIHOODS)}: got"
                f" likelihood {likelihood} and {given.names()}"
            )
        mean = given.numbers("reconstruction", given.shape("data"))
        assert mean is not None
        mean = mean.reshape(images, -1)
        if likelihood == "bernoulli":
            values = _bernoulli(given, data, mean)
        elif scale is None:
            given.refuse("the likelihood gaussian needs likelihood_scale")
        else:
            squares = (data - mean) ** 2
            values = squares.sum(axis=1) / (2 * float(scale) ** 2) + least
            if squares.mean() > _MAX_ERROR * data.var():
                notes.append(
                    f"the mean squared error of reconstruction, {squares.mean():.3g}, is above the"
                    f" variance of data, {data.var():.3g}: are both in the same units?"
                )
    return Distortion(values, least, dimensions, distinct, notes)


def _data(given: Given, images: int) -> tuple[np.ndarray | None, int | None]:
    """The data, (images, dimensions), and the number of dimensions, as far as they are known."""
    said = given.numbers("dimensions", ())
    if said is not None and (said < 1 or said % 1):
        given.refuse(f"dimensions must be a whole number of at least 1: got {said:g}")
    dimensions = None if said is None else int(said)
    if not given.has("data"):
        return None, dimensions
    data = given.numbers("data", (images, *(None,) * (len(given.shape("data")) - 1)))
    assert data is not None
    data = data.reshape(images, -1)
    if dimensions not in (None, data.shape[1]):
        given.refuse(f"data have {data.shape[1]} dimensions, and dimensions says {dimensions}")
    return data, data.shape[1]


def _bernoulli(given: Given, data: np.ndarray, probability: np.ndarray) -> np.ndarray:
    given.first_wrong("data", (data != 0) & (data != 1), data, "0 or 1 for bernoulli")
    outside = ~((probability >= 0) & (probability <= 1))
    given.first_wrong("reconstruction", outside, probability, "a probability")
    with np.errstate(divide="ignore"):
        values = -np.log(np.where(data == 1, probability, 1 - probability)).sum(axis=1)
    given.first_wrong("distortion", ~np.isfinite(values), values, "finite")
    return values
