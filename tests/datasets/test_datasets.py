"""Data sets from names, files and specifications; what bad input says."""

import gzip
import hashlib
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ratedistortion.datasets import DATASETS, Dataset, load
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings
from ratedistortion.theory import patterns

SPECIFICATIONS = {
    "digits": "digits",
    "gaussian": "gaussian:4,1,0.25",
    "bernoulli": "bernoulli:.3,9",
    "patterns": "patterns:4,9,.1",
}


def get(dataset: str | Path, **fields: Any) -> Dataset:
    fields = {"batch_size": 2, "likelihood": "gaussian"} | fields
    return load(Settings(dataset=str(dataset), **fields))


def refusal(dataset: str | Path, **fields: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        get(dataset, **fields)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 450
    assert caught.value.exit_code == 7
    return str(caught.value)


@pytest.fixture
def grey() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        name: random.integers(0, 256, (n, 4, 3), np.uint8)
        for name, n in (("train", 9), ("test", 5))
    }


def write_idx(folder: Path, train: np.ndarray, test: np.ndarray, suffix: str = "") -> Path:
    for name, array in (("train", train), ("t10k", test)):
        content = b"\0\0\x08\x03" + np.array(array.shape, ">u4").tobytes() + array.tobytes()
        content = gzip.compress(content) if suffix else content
        (folder / f"{name}-images-idx3-ubyte{suffix}").write_bytes(content)
    return folder


# Every family, and the contract of a data set


def test_every_family_has_an_example_here() -> None:
    assert SPECIFICATIONS.keys() == DATASETS.keys()


@pytest.mark.parametrize("specification", SPECIFICATIONS.values())
def test_families_keep_the_contract(specification: str) -> None:
    data, again = get(specification), get(specification)
    assert data.sha256 == again.sha256 and np.array_equal(data.train, again.train)
    assert data.name == specification and not data.dynamic
    assert data.splits["train"] is data.train and list(data.splits) == ["train", "test"]
    assert data.train.dtype in (np.uint8, np.float32)
    assert data.train.shape[1] == np.prod(data.shape) == data.splits["test"].shape[1]
    few = get(specification, max_examples=7)
    assert np.array_equal(few.train, data.train[:7])
    assert np.array_equal(few.splits["test"], data.splits["test"][:7])
    assert few.sha256 != data.sha256


@pytest.mark.parametrize("name", DATASETS)
def test_families_refuse_a_bad_specification(name: str) -> None:
    assert f"got '{name}:x'" in refusal(f"{name}:x")


def test_digits_are_those_of_scikit_learn() -> None:
    data = get("digits")
    assert data.shape == (8, 8, 1) and data.scale == 1 / 16
    assert len(data.train) == 1498 and len(data.splits["test"]) == 299
    rows = sorted(row.tobytes() for row in (*data.train, *data.splits["test"]))
    # Of load_digits() in scikit-learn 1.9.1, as bytes, in the same way.
    expected = "d34fb8ecae8dd76408eb4241f93dd5e31df5a84fe18291efd0ee1ae70b2122aa"
    assert hashlib.sha256(b"".join(rows)).hexdigest() == expected


def test_gaussian_has_its_variances() -> None:
    data = get("gaussian:4,1,0.25")
    assert data.train.shape == (200_000, 3) and data.splits["test"].shape == (200_000, 3)
    assert data.shape == (3,) and data.scale == 1 and data.train.dtype == np.float32
    # The standard error of a variance of n normal numbers is sqrt(2/n) of it; 4 of them.
    assert np.allclose(data.train.var(0), [4, 1, 0.25], rtol=4 * np.sqrt(2 / 200_000))
    assert np.all(np.abs(np.corrcoef(data.train.T) - np.eye(3)) < 4 / np.sqrt(200_000))


def test_bernoulli_has_its_probability() -> None:
    data = get("bernoulli:0.3,16", likelihood="bernoulli")
    assert data.train.shape == (200_000, 16) and data.splits["test"].shape == (200_000, 16)
    assert data.train.dtype == np.uint8 and data.scale == 1
    assert np.all(np.abs(data.train.mean(0) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 200_000))


def test_patterns_are_patterns_with_flips() -> None:
    data = get("patterns:16,64,0.05", likelihood="bernoulli")
    assert data.train.shape == (200_000, 64) and data.splits["test"].shape == (200_000, 64)
    assert data.train.dtype == np.uint8 and data.scale == 1
    templates = patterns.templates(patterns.parse("16,64,0.05"))
    for images in data.splits.values():
        flips = (images[:20_000, None] != templates).sum(-1)
        nearest = flips.argmin(1)
        # 16 equal shares, and 64 x 20,000 pixels: 5 standard errors.
        shares = np.bincount(nearest, minlength=16) / 20_000
        assert np.all(np.abs(shares - 1 / 16) < 5 * np.sqrt(1 / 16 * 15 / 16 / 20_000))
        error = np.sqrt(0.05 * 0.95 / (64 * 20_000))
        assert abs(flips.min(1).mean() / 64 - 0.05) < 5 * error
    assert not np.array_equal(data.train[:100], data.splits["test"][:100])


@pytest.mark.parametrize(
    "specification",
    ["gaussian", "gaussian:", "gaussian:0,-1", "gaussian:nan", "gaussian:inf", "gaussian:1,,2"]
    + ["bernoulli", "bernoulli:2,10", "bernoulli:.5", "bernoulli:.5,0", "bernoulli:.5,2.5"]
    + ["bernoulli:nan,3", "bernoulli:.5,inf", "bernoulli:.5,1e9", "digits:3"]
    + ["patterns", "patterns:4,8", "patterns:0,8,.1", "patterns:4,2.5,.1", "patterns:4,8,.5"]
    + ["patterns:4,8,0", "patterns:nan,8,.1", "patterns:1e9,8,.1", "patterns:4,1e9,.1"],
)
def test_bad_specifications(specification: str) -> None:
    text = refusal(specification)
    assert specification in text and specification.split(":")[0] in text


# Files


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=5)),
    st.sampled_from([np.uint8, np.int64, np.float64]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_npz_round_trip(array: np.ndarray, dtype: type, compressed: bool) -> None:
    stored = array / 255 if dtype is np.float64 else array.astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        save = np.savez_compressed if compressed else np.savez
        save(path, train=stored, test=stored[::-1], label=np.arange(3))
        data = get(path)
    value = data.train * data.scale
    assert np.allclose(
        value, (stored / (1 if array.max() <= 1 else 255)).reshape(len(array), -1)
    ) or (dtype is np.float64 and np.allclose(value, stored.reshape(len(array), -1)))
    assert np.array_equal(data.splits["test"], data.train[::-1])
    assert (
        data.shape == {2: array.shape[1:], 3: (*array.shape[1:], 1), 4: array.shape[1:]}[array.ndim]
    )


@given(
    hnp.arrays(np.uint8, st.tuples(*[st.integers(2, 6)] * 3)),
    st.sampled_from(["", ".gz"]),
)
@settings(max_examples=40, deadline=None)
def test_idx_round_trip(array: np.ndarray, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = get(write_idx(Path(folder), array, array[:2], suffix))
    assert data.shape == (*array.shape[1:], 1) and data.train.dtype == np.uint8
    assert np.array_equal(data.train.reshape(array.shape), array)
    assert np.array_equal(data.splits["test"].reshape(2, *array.shape[1:]), array[:2])


@pytest.mark.parametrize("names", [["train", "test"], ["x_train", "x_test"]])
def test_npz_keys(tmp_path: Path, grey: dict[str, np.ndarray], names: list[str]) -> None:
    np.savez(
        tmp_path / "a.npz", y_train=np.zeros(9), **dict(zip(names, grey.values(), strict=True))
    )
    data = get(tmp_path / "a.npz")
    assert np.array_equal(data.train, grey["train"].reshape(9, 12)) and data.scale == 1 / 255


def test_one_array_is_split_the_same_way_wherever_it_comes_from(tmp_path: Path) -> None:
    array = np.arange(120, dtype=np.uint8).reshape(60, 2)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", images=array, labels=np.zeros(60))
    np.savez(tmp_path / "c.npz", anything=array)
    first, *others = (get(tmp_path / name) for name in ("a.npy", "b.npz", "c.npz"))
    assert all(other.sha256 == first.sha256 for other in others)
    assert len(first.train) == 50 and len(first.splits["test"]) == 10
    rows = np.concatenate([first.train, first.splits["test"]])
    assert not np.array_equal(rows, array) and sorted(rows.tolist()) == array.tolist()


def test_zeros_and_ones_have_scale_one(tmp_path: Path) -> None:
    for name, dtype in (("bool", bool), ("bytes", np.uint8), ("long", np.int64)):
        bits = np.random.default_rng(0).integers(0, 2, (20, 6)).astype(dtype)
        np.save(tmp_path / f"{name}.npy", bits)
    data = [
        get(tmp_path / f"{name}.npy", likelihood="bernoulli") for name in ("bool", "bytes", "long")
    ]
    assert len({each.sha256 for each in data}) == 1 and {each.scale for each in data} == {1.0}
    # One split of ones and one of grey values share the larger scale.
    np.savez(
        tmp_path / "mixed.npz", train=np.ones((4, 2), np.uint8), test=np.full((4, 2), 2, np.uint8)
    )
    assert get(tmp_path / "mixed.npz").scale == 1 / 255


def test_black_and_white_bytes_are_binary(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 2, (20, 6), np.uint8) * 255)
    assert get(tmp_path / "a.npy", likelihood="bernoulli").scale == 1 / 255


def test_plain_idx_is_preferred_and_a_folder_needs_both(
    tmp_path: Path, grey: dict[str, np.ndarray]
) -> None:
    write_idx(tmp_path, grey["train"], grey["test"])
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    assert len(get(tmp_path).train) == 9
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    assert "must hold t10k-images-idx3-ubyte" in refusal(tmp_path)


def test_mnist_idx_has_the_known_pixel_sums(shared_data) -> None:
    data = get(shared_data / "raw" / "mnist")
    # Mean of the pixels of MNIST's images, as published with many tools.
    assert data.train.mean() / 255 == pytest.approx(0.13066048, abs=1e-8)
    assert data.splits["test"].mean() / 255 == pytest.approx(0.13251461, abs=1e-8)
    assert data.shape == (28, 28, 1) and data.train.shape == (60_000, 784)


def test_binarized_mnist_npz_has_the_known_pixel_sums(shared_data) -> None:
    data = get(shared_data / "npz" / "binarized_mnist.npz", likelihood="bernoulli")
    assert data.train.sum(dtype=int) == 5_118_041 and data.scale == 1
    assert data.splits["test"].sum(dtype=int) == 1_038_896


# Binarisation


def test_threshold_is_at_one_half(tmp_path: Path) -> None:
    np.save(tmp_path / "bytes.npy", np.tile(np.array([0, 127, 128, 255], np.uint8), (12, 1)))
    np.save(tmp_path / "floats.npy", np.tile([0, 0.49, 0.5, 1], (12, 1)))
    for name in ("bytes.npy", "floats.npy"):
        data = get(tmp_path / name, binarize="threshold", likelihood="bernoulli")
        assert data.train.tolist() == [[0, 0, 1, 1]] * 10 and data.scale == 1
        assert data.train.dtype == np.uint8
    digits = get("digits")
    ones = get("digits", binarize="threshold").train
    assert np.array_equal(ones, digits.train >= 8)


def test_static_is_one_draw_with_the_grey_values_as_probabilities() -> None:
    grey, data = get("digits"), get("digits", binarize="static", likelihood="bernoulli")
    assert data.sha256 == get("digits", binarize="static").sha256
    assert set(np.unique(data.train)) == {0, 1} and data.scale == 1 and not data.dynamic
    for value in range(17):
        draws = data.train[grey.train == value]
        error = np.sqrt(value / 16 * (1 - value / 16) / len(draws))
        assert abs(draws.mean() - value / 16) <= 4 * error
    assert not np.array_equal(data.train[:200], data.splits["test"][:200])


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_an_examples_draw_does_not_depend_on_how_many_follow(binarize: str) -> None:
    few = get("digits", binarize=binarize, max_examples=20)
    assert np.array_equal(
        few.splits["train"], get("digits", binarize=binarize).splits["train"][:20]
    )


def test_dynamic_keeps_probabilities_to_train_on_and_measures_one_draw(tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", np.random.default_rng(0).random((30, 5)))
    for name in ("digits", tmp_path / "floats.npy"):
        grey, static, data = (get(name, binarize=how) for how in ("none", "static", "dynamic"))
        assert data.dynamic and data.scale == grey.scale
        assert np.array_equal(data.train, grey.train) and data.train.dtype == grey.train.dtype
        for split, drawn in data.splits.items():
            assert drawn.dtype == data.train.dtype
            assert np.array_equal(drawn * data.scale, static.splits[split])
        assert len({grey.sha256, static.sha256, data.sha256}) == 3
        assert get(name, binarize="dynamic", likelihood="bernoulli").sha256 == data.sha256


@pytest.mark.parametrize("binarize", ["threshold", "static", "dynamic"])
def test_binary_data_stay_as_they_are(binarize: str) -> None:
    before, after = (get("bernoulli:.3,9", binarize=how) for how in ("none", binarize))
    assert np.array_equal(before.train, after.train) and after.scale == 1
    assert np.array_equal(before.splits["test"], after.splits["test"])


def test_arbitrary_floats_cannot_be_binarised() -> None:
    for binarize in ("threshold", "static", "dynamic"):
        assert "only values in [0, 1] can be binarised: got -" in refusal(
            "gaussian:4", binarize=binarize
        )


# Bad input


def test_the_bernoulli_likelihood_needs_zeros_and_ones(tmp_path: Path) -> None:
    text = refusal("digits", likelihood="bernoulli")
    assert "values that are 0 or 1: got 0." in text
    assert "--binarize static, dynamic or threshold, or --likelihood discretized-logistic" in text
    text = refusal("gaussian:4,1", likelihood="bernoulli")
    assert "--likelihood gaussian" in text and "--binarize" not in text


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((6, 2, 2), 1.5), "float images must lie in [0, 1]: got 1.5 to 1.5"),
        (np.full((6, 2, 2), -0.1), "float images must lie in [0, 1]"),
        (np.array([[0, 1], [0, np.nan]] * 6), "6 nan or inf of 24, the first at index (1, 1)"),
        (np.full((6, 2), np.inf), "12 nan or inf of 12, the first at index (0, 0)"),
        (np.full((6, 2), 1e300), "12 nan or inf"),
        (np.full((6, 2), 256), "whole numbers must lie in 0 to 255: got 256 to 256"),
        (np.full((6, 2), -1), "whole numbers must lie in 0 to 255: got -1 to -1"),
        (np.zeros((6, 2), complex), "got dtype complex128"),
        (np.zeros((6, 2), "U3"), "got dtype <U3"),
        (np.zeros((6, 2), "M8[s]"), "got dtype datetime64[s]"),
        (np.zeros((6, 2), [("a", "f4")]), "got dtype [('a'"),
        (np.zeros(6), "the shape must be (examples, dimensions)"),
        (np.zeros((6, 1, 1, 1, 1)), "got (6, 1, 1, 1, 1)"),
        (np.zeros((6, 0)), "without zeros: got (6, 0)"),
    ],
)
def test_arrays_that_are_no_data(tmp_path: Path, array: np.ndarray, expected: str) -> None:
    np.savez(tmp_path / "a.npz", train=array, test=array)
    text = refusal(tmp_path / "a.npz")
    assert expected in text and "a.npz, train" in text


def test_flat_vectors_may_be_any_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[-5.0, 3e4]] * 12))
    assert get(tmp_path / "a.npy").train[0].tolist() == [-5, 3e4]


@pytest.mark.parametrize("array", [np.zeros(()), np.zeros((0, 3)), np.zeros((1, 3))])
def test_one_array_too_small_to_split(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    assert "must have at least 2 examples" in refusal(tmp_path / "a.npy")


def test_train_and_test_must_agree(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train=np.zeros((6, 2, 2)), test=np.zeros((6, 2, 3)))
    assert "got train (2, 2, 1) float32 and test (2, 3, 1) float32" in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", train=np.zeros((6, 2, 2)), test=np.zeros((6, 2, 2), int))
    assert "of one shape and kind" in refusal(tmp_path / "a.npz")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    bomb = np.array([Bomb(tmp_path / "exploded")] * 3, dtype=object)
    np.savez(tmp_path / "a.npz", train=bomb, test=bomb)
    np.save(tmp_path / "b.npy", bomb)
    for name in ("a.npz", "b.npy"):
        assert "Python objects, which are never unpickled" in refusal(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_damaged_numpy_files(tmp_path: Path, grey: dict[str, np.ndarray], suffix: str) -> None:
    path, good = tmp_path / f"a{suffix}", io.BytesIO()
    np.savez(good, **grey) if suffix == ".npz" else np.save(good, grey["train"])
    flipped = bytearray(good.getvalue())
    flipped[len(flipped) // 3 if suffix == ".npz" else 20] ^= 255
    for content in (b"", b"PK", b"words", good.getvalue()[:-30], good.getvalue()[:60], flipped):
        path.write_bytes(content)
        assert "damaged or no" in refusal(path)


def test_npz_without_the_arrays(tmp_path: Path, grey: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "a.npz", left=grey["train"], right=grey["test"])
    assert "got left, right" in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz")
    assert "got none" in refusal(tmp_path / "a.npz")


def test_damaged_idx(tmp_path: Path, grey: dict[str, np.ndarray]) -> None:
    write_idx(tmp_path, grey["train"], grey["test"])
    path = tmp_path / "t10k-images-idx3-ubyte"
    good = path.read_bytes()
    for content, expected in (
        (b"", "got nothing"),
        (b"\0\0\x08\x01" + good[4:], "must begin with 00 00 08 03"),
        (good[:10], "it must have"),
        (good[:-1], f"it must have {len(good)} bytes: got {len(good) - 1}"),
        (good + b"\0", "is damaged"),
    ):
        path.write_bytes(content)
        assert expected in refusal(tmp_path)
    path.unlink()
    for content in (good, gzip.compress(good)[:-9], b""):
        path.with_suffix(".gz").write_bytes(content)
        assert "t10k-images-idx3-ubyte.gz" in refusal(tmp_path)


def test_paths_that_are_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is not there" in refusal(tmp_path / "none.npz")
    assert "is not there" in refusal(tmp_path / "none")
    assert "is not there" in refusal("none.npz") and "is not there" in refusal("~/none/none")
    assert "must hold train-images-idx3-ubyte" in refusal(tmp_path)
    (tmp_path / "a.csv").write_text("1,2")
    assert "must be an .npz or .npy file" in refusal(tmp_path / "a.csv")
    (tmp_path / "folder.npz").mkdir()
    assert "must hold train-images-idx3-ubyte" in refusal(tmp_path / "folder.npz")


def test_fewer_examples_than_a_batch() -> None:
    text = refusal("digits", max_examples=50, batch_size=51)
    assert "at least 51 training examples" in text and "got 50 train and 50 test" in text
    assert "--batch-size" in text
    assert get("digits", max_examples=50, batch_size=50).train.shape == (50, 64)
    assert "2 in each split" in refusal("digits", max_examples=1, batch_size=1)


# The package


def test_the_hash_covers_bytes_shapes_and_dtypes(tmp_path: Path) -> None:
    hashes = set()
    for array in (np.zeros((12, 4), np.uint8), np.zeros((12, 4)), np.zeros((24, 2), np.uint8)):
        np.save(tmp_path / "a.npy", array)
        hashes.add(get(tmp_path / "a.npy").sha256)
    assert len(hashes) == 3 and all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes)


def test_streams_are_those_of_the_first_release() -> None:
    """Runs are compared by the hash of their data: it must not change with a release."""
    assert get("digits").sha256.startswith("db0170aca09b")
    assert get("digits", binarize="static").sha256.startswith("3fcaac17c073")
    assert get("bernoulli:.3,9").sha256.startswith("c679ef38f862")
    assert get("patterns:4,9,.1").sha256.startswith("16cfde2bdeb7")
    assert np.allclose(
        get("gaussian:4,1,0.25").train[19_999], [-3.773242, 0.25598642, 0.15342559], rtol=1e-6
    )


def test_importing_is_cheap() -> None:
    code = (
        "import sys, numpy, ratedistortion.datasets; "
        "print(*({'jax', 'PIL', 'tensorflow_datasets', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
