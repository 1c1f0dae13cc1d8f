"""The distortion of every image: as it was exported, or by data, reconstruction and likelihood."""

import math

import numpy as np

from ratedistortion.exported.given import Given

_LIKELIHOODS = ("bernoulli", "gaussian")


def distortion_of(
    given: Given, images: int
) -> tuple[np.ndarray | None, float, int | None, int | None]:
    """The distortion of every image, and what its data tell.

    Args:
        given: May have `distortion`, or `data`, `reconstruction` and `likelihood`.
        images: How many there are.

    Returns:
        -log p(x|z) in nats, (images,), None where it is not known; the least that it can be; the
        dimensions of an image and how many images are different, each None where it is not known.

    Raises:
        SettingsError: If something is missing, has another shape, or is said in two ways.
    """
    dimensions = given.numbers("dimensions", ())
    if dimensions is not None and (dimensions < 1 or dimensions % 1):
        given.refuse(f"dimensions must be a whole number of at least 1: got {dimensions:g}")
    count = None if dimensions is None else int(dimensions)
    data = reconstruction = distinct = None
    if given.has("data"):
        data = given.numbers("data", (images, *(None,) * (len(given.shape("data")) - 1)))
        assert data is not None
        data = data.reshape(images, -1)
        if count not in (None, data.shape[1]):
            given.refuse(f"data have {data.shape[1]} dimensions, and dimensions says {count}")
        count, distinct = data.shape[1], len({hash(row.tobytes()) for row in data})
    likelihood, least = given.text("likelihood"), -math.inf
    scale = given.positive("likelihood_scale", ())
    if likelihood == "bernoulli":
        least = 0.0
    elif likelihood == "gaussian" and scale is not None and count is not None:
        least = count * (math.log(float(scale)) + 0.5 * math.log(2 * math.pi))
    distortion = given.numbers("distortion", (images,))
    if not given.has("reconstruction"):
        return distortion, least, count, distinct
    if distortion is not None:
        given.refuse("distortion and reconstruction both say D: leave one out")
    if data is None or likelihood not in _LIKELIHOODS:
        given.refuse(
            f"reconstruction needs data and likelihood, {' or '.join(_LIKELIHOODS)}: got"
            f" {given.names()}"
        )
    reconstruction = given.numbers("reconstruction", given.shape("data"))
    assert reconstruction is not None
    reconstruction = reconstruction.reshape(images, -1)
    if likelihood == "gaussian":
        if scale is None:
            given.refuse("the likelihood gaussian needs likelihood_scale")
        squares = ((data - reconstruction) ** 2).sum(axis=1)
        return squares / (2 * float(scale) ** 2) + least, least, count, distinct
    given.first_wrong("data", (data != 0) & (data != 1), data, "0 or 1 for bernoulli")
    outside = ~((reconstruction >= 0) & (reconstruction <= 1))
    given.first_wrong("reconstruction", outside, reconstruction, "a probability")
    with np.errstate(divide="ignore"):
        distortion = -np.log(np.where(data == 1, reconstruction, 1 - reconstruction)).sum(axis=1)
    given.first_wrong("distortion", ~np.isfinite(distortion), distortion, "finite")
    return distortion, least, count, distinct
