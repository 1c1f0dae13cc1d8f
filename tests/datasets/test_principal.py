"""Principal components of the images that are trained on, against NumPy's of whole arrays."""

import tracemalloc

import numpy as np
import pytest

from ratedistortion.datasets import Dataset
from ratedistortion.datasets.principal import Principal, principal_components


def dataset_of(train: np.ndarray, **values) -> Dataset:
    plain = {"scale": 1.0, "dynamic": False, "sha256": "", "stamps": None, "description": ""}
    splits = {"train": train, "test": train[:1]}
    return Dataset("made", train, splits, (train.shape[1],), **plain | values)


def of(train: np.ndarray, count: int, examples: int | None = None, **values) -> Principal:
    return principal_components(dataset_of(train, **values), examples or len(train), count)


def vectors_of(images: int, dimensions: int, rank: int) -> np.ndarray:
    """Numbers whose covariance has `rank` eigenvalues far apart, and a mean that is not 0."""
    random = np.random.default_rng(0)
    codes = random.normal(size=(images, rank)) * 2.0 ** -np.arange(rank)
    mixed = codes @ random.normal(size=(rank, dimensions))
    return (mixed + np.linspace(-1, 2, dimensions)).astype(np.float32)


def check(found, covariance: np.ndarray, tolerance: float = 1e-4) -> None:
    """Each direction is an eigenvector with its eigenvalue, and they are in descending order."""
    count = len(found.variances)
    largest = np.linalg.eigvalsh(covariance)[::-1][:count]
    scale = largest[0]
    np.testing.assert_allclose(found.variances, largest, rtol=tolerance, atol=1e-5 * scale)
    used = found.directions[:, found.variances > 0]
    product = covariance @ used
    expected = used * found.variances[found.variances > 0]
    np.testing.assert_allclose(product, expected, atol=tolerance * scale)
    np.testing.assert_allclose(used.T @ used, np.eye(used.shape[1]), atol=1e-4)
    assert all(part.dtype == np.float32 for part in found)
    assert (np.take_along_axis(used, np.argmax(abs(used), axis=0)[None], 0) > 0).all()


def test_they_are_the_eigenvectors_of_the_covariance():
    train = vectors_of(5000, 12, 12)  # more than one block of images
    found = of(train, count=5)
    check(found, np.cov(train.T.astype(float), bias=True))
    np.testing.assert_allclose(found.mean, train.mean(0, dtype=float), rtol=1e-5, atol=1e-5)
    assert found.directions.shape == (12, 5) and (found.spread == 1).all()


def test_components_of_little_variance_are_kept():
    """Columns of unlike size: those of deviation 1 beside those of 3000 are no rounding errors."""
    deviations = np.concatenate([[3000.0, 2000.0], np.linspace(2, 1, 38)])
    train = np.random.default_rng(3).normal(size=(4000, 40)) * deviations
    found = of(train, count=40)
    expected = np.linalg.eigvalsh(np.cov(train.T, bias=True))[::-1]
    np.testing.assert_allclose(found.variances, expected, rtol=1e-4)


def test_they_are_in_the_units_of_the_data_where_vectors_are_standardised():
    train = vectors_of(500, 4, 4)
    spread = np.array([0.01, 1.0, 3.0, 100.0], np.float32)
    found = of(train, spread=spread, centre=np.ones(4), count=4)
    check(found, np.cov((train * spread).T.astype(float), bias=True))
    np.testing.assert_allclose(found.mean, train.mean(0, dtype=float), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.spread, spread)


def test_pixels_that_are_drawn_afresh_have_the_variance_of_their_draws():
    """By the law of total variance; 200,000 draws agree within the error of their covariance."""
    stored = np.random.default_rng(1).integers(0, 17, (40, 6)).astype(np.uint8)
    p = stored / 16
    covariance = np.cov(p.T, bias=True) + np.diag(np.mean(p * (1 - p), axis=0))
    check(of(stored, scale=1 / 16, dynamic=True, count=6), covariance)
    drawn = np.random.default_rng(2).random((5000, *p.shape)) < p
    sampled = np.cov(drawn.reshape(-1, 6).T.astype(float), bias=True)
    np.testing.assert_allclose(sampled, covariance, atol=4 * 0.5 / np.sqrt(200_000))


def test_leading_components_of_many_dimensions_are_those_of_their_covariance():
    """2,100 dimensions, more than those of which a covariance is computed."""
    train = vectors_of(300, 2100, 6)
    found = of(train, count=8)
    centred = train - train.mean(0, dtype=float)
    values = np.linalg.svd(centred, compute_uv=False) ** 2 / len(train)
    np.testing.assert_allclose(found.variances[:6], values[:6], rtol=1e-4)
    assert (found.variances[6:] == 0).all() and (found.directions[:, 6:] == 0).all()
    used = found.directions[:, :6]
    np.testing.assert_allclose(used.T @ used, np.eye(6), atol=1e-4)
    np.testing.assert_allclose(centred.T @ (centred @ used) / len(train), used * values[:6],
                               atol=1e-4 * values[0])  # fmt: skip


def test_both_ways_to_compute_them_agree(monkeypatch: pytest.MonkeyPatch):
    train = vectors_of(300, 400, 5)
    by_covariance = of(train, count=5)
    monkeypatch.setattr("ratedistortion.datasets.principal._MAX_DIMENSIONS", 399)
    for one, other in zip(by_covariance, of(train, count=5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_dimensions_that_never_change_and_missing_components_have_no_direction():
    train = vectors_of(50, 6, 2)
    train[:, 3] = 0.7
    found = of(train, count=9)
    assert found.variances.shape == (6,) and (found.variances[2:] == 0).all()
    assert (found.directions[:, 2:] == 0).all() and np.abs(found.directions[3]).max() < 1e-5
    nothing = of(np.full((5, 3), 0.1, np.float32), count=3)
    assert (nothing.variances == 0).all() and (nothing.directions == 0).all()


def test_images_that_are_held_out_are_not_used():
    train = vectors_of(80, 5, 5)
    with_others = np.concatenate([train, 50 + vectors_of(20, 5, 5)])
    own = of(train, count=5)
    for a, b in zip(own, of(with_others, count=5, examples=80), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_images_are_not_copied_as_a_whole(dynamic):
    """The memory used is below a quarter of the images in float32, however many there are."""
    stored = np.random.default_rng(0).integers(0, 256, (100_000, 100)).astype(np.uint8)
    data = dataset_of(stored, scale=1 / 255, dynamic=dynamic)
    tracemalloc.start()
    principal_components(data, len(stored), 10)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < stored.size
