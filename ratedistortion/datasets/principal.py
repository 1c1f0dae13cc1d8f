"""Principal components of a data set, by which a run starts at the optimum of a linear model."""

from typing import Any, NamedTuple

import numpy as np

from ratedistortion.datasets.dataset import Dataset

# Dimensions up to which the covariance of all images is computed. Above, that many images at most
# stand for all: their inner products have the same eigenvalues.
_MAX_DIMENSIONS = 2048
_MAX_NUMBERS = 2**25  # of these images together, in float64: 256 MiB
_BLOCK = 4096  # images whose products are summed at once
# Variances below so many times the largest, for each dimension, are rounding errors.
_ROUNDING = 1e-12


class Principal(NamedTuple):
    """Mean and principal components of the images that are trained on, in float32.

    Arrays of NumPy, or of JAX once they are on a device. The variances are those of the data in
    their own units, in which the likelihood is.

    Attributes:
        mean: Of each dimension of x, (dimensions,).
        directions: Orthonormal columns, (dimensions, components), by descending variance.
        variances: Of the images along each direction, at least 0, (components,).
        spread: Units of the data in one unit of x, for each dimension, (dimensions,).
        rest: Sum of the variances along all other directions.
    """

    mean: Any
    directions: Any
    variances: Any
    spread: Any
    rest: Any


def principal_components(data: Dataset, examples: int, count: int) -> Principal:
    """The leading principal components of the images that are trained on.

    Args:
        data: Where training draws pixels afresh, the variance of these draws is included, unless
            there are more than 2,048 dimensions.
        examples: So many of `data.train`, the first ones, are trained on.
        count: How many components; fewer if there are fewer dimensions or images.
    """
    stored = data.train[:examples].reshape(examples, -1)
    images, dimensions = stored.shape
    mean = stored.mean(axis=0, dtype=np.float64) * data.scale
    spread = np.ones(dimensions) if data.spread is None else data.spread.astype(np.float64)

    def centred(rows: np.ndarray) -> np.ndarray:
        # In float64: eigenvectors of close eigenvalues would turn with the rounding of float32.
        return (rows * data.scale - mean) * spread

    if dimensions <= _MAX_DIMENSIONS:
        products, squares = np.zeros((dimensions, dimensions)), np.zeros(dimensions)
        for first in range(0, images, _BLOCK):
            block = centred(stored[first : first + _BLOCK])
            products += block.T @ block
            squares += np.sum(block**2, axis=0)
        products /= images
        if data.dynamic:  # the variance p (1 - p) of every draw
            products += np.diag(mean * (1 - mean) - squares / images)
        variances, directions = np.linalg.eigh(products)
    else:
        most = min(images, _MAX_DIMENSIONS, max(_MAX_NUMBERS // dimensions, 2))
        some = centred(stored[np.linspace(0, images - 1, most).astype(int)])
        variances, vectors = np.linalg.eigh(some @ some.T / len(some))
        directions = some.T @ vectors / np.sqrt(np.maximum(variances, 1e-300) * len(some))
    least = len(variances) * _ROUNDING * max(variances[-1], 0.0)
    variances = np.where(variances > least, variances, 0.0)[::-1]
    variances, rest = variances[:count], np.sum(variances[count:])
    directions = np.where(variances > 0, directions[:, ::-1][:, :count], 0.0)
    # Libraries of linear algebra differ in the signs, on which the numbers of a run depend.
    largest = np.argmax(np.abs(directions), axis=0)[None]
    directions = directions * np.sign(np.take_along_axis(directions, largest, axis=0))
    parts = mean, directions, variances, spread, rest
    return Principal(*(part.astype(np.float32) for part in parts))
