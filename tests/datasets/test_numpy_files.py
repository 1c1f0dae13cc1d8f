"""Arrays from .npz and .npy files: what is read from them, and which are refused."""

import io
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=4)),
    st.sampled_from([np.uint8, np.int64, np.float64]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_npz_round_trip(get, array, dtype, compressed):
    array.flat[:2] = 0, 255
    stored = array / 255 if dtype is np.float64 else array.astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        save = np.savez_compressed if compressed else np.savez
        save(path, train=stored, test=stored[::-1], label=np.arange(3))
        scale = "none" if array.ndim == 2 else None
        data = get(path, layout=(None, None, "ND", "NHW", "NHWC")[array.ndim], scale=scale)
    scaled = dtype is np.float64 or array.ndim == 2  # vectors are never divided without being asked
    assert np.allclose(
        data.train * data.scale, (stored / (1 if scaled else 255)).reshape(len(array), -1)
    )
    assert np.array_equal(data.splits["test"], data.train[::-1])
    assert data.shape == array.shape[1:] + ((1,) if array.ndim == 3 else ())
    assert "data.npz[train, test]" in data.description
    assert "not used: label (labels)" in data.description


@pytest.mark.parametrize("names", [["train", "test"], ["x_train", "x_test"]])
def test_npz_arrays_are_found_by_their_names(tmp_path, grey, names, get):
    np.savez(
        tmp_path / "a.npz", y_train=np.zeros(9), **dict(zip(names, grey.values(), strict=True))
    )
    data = get(tmp_path / "a.npz")
    assert np.array_equal(data.train, grey["train"].reshape(9, 12)) and data.scale == 1 / 255


def test_one_array_is_split_the_same_way_wherever_it_comes_from(tmp_path, get):
    array = np.arange(120, dtype=np.uint8).reshape(60, 2)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", images=array, labels=np.zeros(60))
    np.savez(tmp_path / "c.npz", anything=array)
    names = ("a.npy", "b.npz", "c.npz")
    first, *others = (get(tmp_path / name, scale="none") for name in names)
    assert all(other.sha256 == first.sha256 for other in others)
    assert len(first.train) == 50 and len(first.splits["test"]) == 10
    rows = np.concatenate([first.train, first.splits["test"]])
    assert not np.array_equal(rows, array) and sorted(rows.tolist()) == array.tolist()


def test_zeros_and_ones_have_scale_one(tmp_path, get):
    bits = np.random.default_rng(0).integers(0, 2, (20, 6))
    data = []
    for dtype in (bool, np.uint8, np.int64):
        np.save(tmp_path / "bits.npy", bits.astype(dtype))
        data.append(get(tmp_path / "bits.npy", likelihood="bernoulli"))
    assert len({each.sha256 for each in data}) == 1 and {each.scale for each in data} == {1.0}


def test_black_and_white_bytes_are_binary(tmp_path, get):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 2, (20, 6, 6), np.uint8) * 255)
    assert get(tmp_path / "a.npy", likelihood="bernoulli").scale == 1 / 255


def test_flat_vectors_may_be_any_numbers(tmp_path, get):
    np.save(tmp_path / "a.npy", np.array([[-5.0, 3e4]] * 12))
    assert get(tmp_path / "a.npy", scale="none").train[0].tolist() == [-5, 3e4]


def test_binarized_mnist_npz_has_the_known_pixel_sums(shared_data, get):
    data = get(shared_data / "npz" / "binarized_mnist.npz", likelihood="bernoulli")
    assert data.train.sum(dtype=int) == 5_118_041 and data.scale == 1
    assert data.splits["test"].sum(dtype=int) == 1_038_896


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((6, 2, 2), 1.5), "images of numbers 1.5 to 1.5: give --scale 1.5"),
        (np.full((6, 2, 2), -0.1), "numbers -0.1 to -0.1: give --scale none"),
        (np.array([[0, 1], [0, np.nan]] * 6), "nan or inf, first in row 1 at (1,)"),
        (np.full((6, 2), np.inf), "nan or inf, first in row 0 at (0,)"),
        (np.full((6, 2), 1e300), "must be finite in float32"),
        (np.full((6, 2, 2), 256), "whole numbers 256 to 256: give --scale 65535 if they are of 16"),
        (np.full((6, 2, 2), -1), "whole numbers -1 to -1: give --scale none"),
        (np.zeros((6, 2), complex), "got dtype complex128"),
        (np.zeros((6, 2), "U3"), "got dtype <U3"),
        (np.zeros((6, 2), "M8[s]"), "got dtype datetime64[s]"),
        (np.zeros((6, 2), [("a", "f4")]), "got dtype [('a'"),
        (np.zeros((6, 1, 1, 1, 1)), "got (6, 1, 1, 1, 1)"),
        (np.zeros((6, 0)), "without zeros: got (6, 0)"),
    ],
)
def test_arrays_of_wrong_shape_dtype_or_range_are_refused(tmp_path, array, expected, refusal):
    np.savez(tmp_path / "a.npz", train=array, test=array)
    text = refusal(tmp_path / "a.npz")
    assert expected in text and "a.npz[train, test]" in text


@pytest.mark.parametrize("array", [np.zeros(()), np.zeros((0, 3)), np.zeros((1, 3))])
def test_one_array_too_small_to_split_is_refused(tmp_path, array, refusal):
    np.save(tmp_path / "a.npy", array)
    assert "a.npy" in refusal(tmp_path / "a.npy")


def test_train_and_test_must_have_one_shape(tmp_path, refusal):
    np.savez(tmp_path / "a.npz", train=np.zeros((6, 2, 2)), test=np.zeros((6, 3, 3)))
    assert "train (6, 2, 2), test (6, 3, 3)" in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", train=np.zeros((6, 2, 2)), test=np.zeros((6, 4)))
    assert "splits must have examples of one shape" in refusal(tmp_path / "a.npz")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_objects_are_never_unpickled(tmp_path, refusal):
    bomb = np.array([Bomb(tmp_path / "exploded")] * 3, dtype=object)
    np.savez(tmp_path / "a.npz", train=bomb, test=bomb)
    np.save(tmp_path / "b.npy", bomb)
    for name in ("a.npz", "b.npy"):
        assert "Python objects, which are never unpickled" in refusal(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_damaged_numpy_files_are_refused(tmp_path, grey, suffix, refusal):
    path, good = tmp_path / f"a{suffix}", io.BytesIO()
    np.savez(good, **grey) if suffix == ".npz" else np.save(good, grey["train"])
    flipped = bytearray(good.getvalue())
    flipped[len(flipped) // 3 if suffix == ".npz" else 20] ^= 255
    for content in (b"", b"PK", b"words", good.getvalue()[:-30], good.getvalue()[:60], flipped):
        path.write_bytes(content)
        assert "damaged or no" in refusal(path)


def test_npz_files_without_the_arrays_are_refused(tmp_path, grey, refusal):
    np.savez(tmp_path / "a.npz", left=grey["train"], right=grey["test"])
    assert "no name is known among left (9, 4, 3), right (5, 4, 3)" in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz")
    assert "among none" in refusal(tmp_path / "a.npz")


def test_the_hash_covers_bytes_shapes_and_dtypes(tmp_path, get):
    hashes = set()
    for array in (
        np.zeros((12, 4), np.uint8),
        np.zeros((12, 4)) + 0.5,
        np.zeros((24, 2), np.uint8),
    ):
        np.save(tmp_path / "a.npy", array)
        hashes.add(get(tmp_path / "a.npy").sha256)
    assert len(hashes) == 3 and all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes)
