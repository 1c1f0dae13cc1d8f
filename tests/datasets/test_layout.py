"""Which axis is which: read where it is certain, asked where it is not."""

import numpy as np
import pytest

RANDOM = np.random.default_rng(0)


def grey(*shape: int) -> np.ndarray:
    """Random 8-bit numbers, from 0 to 255."""
    array = RANDOM.integers(0, 256, shape, np.uint8)
    array.flat[:2] = 0, 255
    return array


@pytest.mark.parametrize(
    ("stored", "axes", "order"),
    [
        ((30, 28, 28), "NHW", (0, 1, 2)),
        ((28, 28, 500), "HWN", (2, 0, 1)),
        ((30, 32, 32, 3), "NHWC", (0, 1, 2, 3)),
        ((30, 20, 24, 3), "NHWC", (0, 1, 2, 3)),
        ((30, 1, 28, 28), "NCHW", (0, 2, 3, 1)),
        ((30, 3, 32, 32), "NCHW", (0, 2, 3, 1)),
        ((30, 4, 84, 84), "NCHW", (0, 2, 3, 1)),
        ((32, 32, 3, 50), "HWCN", (3, 0, 1, 2)),
    ],
)
def test_axes_that_are_certain_are_read_and_said(tmp_path, get, stored, axes, order):
    array = grey(*stored)
    np.savez(tmp_path / "a.npz", train=array, test=array)
    images = array.transpose(order)
    data = get(tmp_path / "a.npz")
    assert np.array_equal(data.train.reshape(images.shape), images)
    assert data.shape == (*images.shape[1:], 1)[:3]
    assert (f"read as {axes}" in data.description) == (axes not in ("NHW", "NHWC"))


@pytest.mark.parametrize(
    ("stored", "both"),
    [
        ((20, 30, 64, 64), "NHWC (20 images of 30 × 64 × 64) or --layout NCHW (20 images of 64"),
        ((30, 3, 3, 3), "NHWC (30 images of 3 × 3 × 3) or --layout NCHW (30 images of 3 × 3 × 3)"),
        ((28, 28, 32), "NHW (28 images of 28 × 32) or --layout HWN (32 images of 28 × 28)"),
        ((48, 64, 3), "NHW (48 images of 64 × 3) or --layout HWN (3 images of 48 × 64)"),
        ((24, 26, 16), "NHW (24 images of 26 × 16) or --layout HWN (16 images of 24 × 26)"),
        ((10, 32, 900), "NHW (10 images of 32 × 900) or --layout HWN (900 images of 10 × 32)"),
        ((50, 300), "ND (50 vectors of 300 numbers) or --layout DN (300 vectors of 50 numbers)"),
    ],
)
def test_axes_that_are_not_certain_are_asked_for(tmp_path, refusal, stored, both):
    np.save(tmp_path / "a.npy", grey(*stored))
    assert f"give --layout {both}" in refusal(tmp_path / "a.npy")


def test_two_splits_show_which_axis_counts_the_examples(tmp_path, get):
    train, test = RANDOM.normal(size=(7, 40)), RANDOM.normal(size=(7, 9))
    np.savez(tmp_path / "a.npz", train=train, test=test)
    data = get(tmp_path / "a.npz", scale="none")
    assert np.array_equal(data.train, train.T.astype(np.float32))
    assert data.description.startswith(f"{tmp_path}/a.npz[train, test]: 40 + 9 vectors of 7, ")
    assert data.description.endswith("; read as DN")
    np.savez(tmp_path / "b.npz", train=train[:, :6].T, test=test.T)
    assert get(tmp_path / "b.npz").train.shape == (6, 7)  # fewer examples than dimensions


def test_a_layout_that_is_typed_is_taken(tmp_path, get, refusal):
    array = grey(9, 3, 5, 4)
    np.save(tmp_path / "a.npy", array)
    data = get(tmp_path / "a.npy", layout="WHCN", test_fraction=0.5)
    images = array.transpose(3, 1, 0, 2)
    assert data.shape == (3, 9, 5) and len(data.train) == len(data.splits["test"]) == 2
    assert set(map(bytes, data.train)) < {image.tobytes() for image in images}
    for layout in ("NHW", "NHWX", "NHWCC"):
        assert f"--layout {layout} does not suit" in refusal(tmp_path / "a.npy", layout=layout)


def test_vectors_are_images_of_a_shape_that_is_typed(tmp_path, get, refusal):
    array = grey(12, 48)
    np.save(tmp_path / "a.npy", array)
    data = get(tmp_path / "a.npy", shape=(8, 6), scale=255.0)
    assert data.shape == (8, 6, 1) and data.scale == 1 / 255
    assert get(tmp_path / "a.npy", shape=(4, 4, 3)).shape == (4, 4, 3)
    text = refusal(tmp_path / "a.npy", shape=(8, 7))
    assert "--shape 8x7x1 is for vectors of 56 numbers: got examples of shape (48,)" in text
