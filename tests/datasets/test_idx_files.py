"""Images from folders of idx files, plain and gzipped, whole and damaged."""

import gzip
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


def write_idx(folder: Path, train: np.ndarray, test: np.ndarray, suffix: str = "") -> Path:
    for name, array in (("train", train), ("t10k", test)):
        (folder / f"{name}-images-idx3-ubyte{suffix}").write_bytes(idx(array, bool(suffix)))
    return folder


def idx(array: np.ndarray, packed: bool) -> bytes:
    content = b"\0\0\x08\x03" + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    return gzip.compress(content) if packed else content


@given(
    hnp.arrays(np.uint8, st.tuples(*[st.integers(2, 6)] * 3)),
    st.sampled_from(["", ".gz"]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_idx_round_trip(get, array, suffix):
    array.flat[0] = 255
    with tempfile.TemporaryDirectory() as folder:
        data = get(write_idx(Path(folder), array, array[:2], suffix))
    assert data.shape == (*array.shape[1:], 1) and data.train.dtype == np.uint8
    assert np.array_equal(data.train.reshape(array.shape), array)
    assert np.array_equal(data.splits["test"].reshape(2, *array.shape[1:]), array[:2])


def test_plain_idx_is_preferred_and_a_folder_needs_both(tmp_path, grey, get, refusal):
    write_idx(tmp_path, grey["train"], grey["test"])
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    assert len(get(tmp_path).train) == 9
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    assert "t10k-images-idx3-ubyte, each plain or with .gz: it does not" in refusal(tmp_path)


def test_mnist_idx_has_the_known_pixel_sums(shared_data, get):
    data = get(shared_data / "raw" / "mnist")
    # Mean of the pixels of MNIST's images, as published with many tools.
    assert data.train.mean() / 255 == pytest.approx(0.13066048, abs=1e-8)
    assert data.splits["test"].mean() / 255 == pytest.approx(0.13251461, abs=1e-8)
    assert data.shape == (28, 28, 1) and data.train.shape == (60_000, 784)


def test_damaged_idx_files_are_refused(tmp_path, grey, refusal):
    write_idx(tmp_path, grey["train"], grey["test"])
    path = tmp_path / "t10k-images-idx3-ubyte"
    good = path.read_bytes()
    for content, expected in (
        (b"", "got nothing"),
        (b"\0\0\x08\x01" + good[4:], "must begin with 00 00 08 03"),
        (good[:10], "is damaged"),
        (good[:-1], f"it must have {len(good) - 16} bytes behind its header: got {len(good) - 17}"),
        (good + b"\0", f"got more than {len(good) - 16}"),
    ):
        path.write_bytes(content)
        assert expected in refusal(tmp_path)
    path.unlink()
    for content in (gzip.compress(good)[:-9], b""):
        path.with_suffix(".gz").write_bytes(content)
        assert "t10k-images-idx3-ubyte.gz" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-test-images-idx3-ubyte.gz"),
        ("qmnist-train-images-idx3-ubyte", "qmnist-test-images-idx3-ubyte"),
        ("train-images.idx3-ubyte", "t10k-images.idx3-ubyte"),
        ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/t10k-images-idx3-ubyte"),
        ("raw/train-images-idx3-ubyte.gz", "raw/t10k-images-idx3-ubyte.gz"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_relatives_of_mnist_are_found(tmp_path, grey, get, train, test, packed):
    for name, split in ((train, "train"), (test, "test")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(idx(grey[split], packed))  # whatever the suffix says
    data = get(tmp_path)
    assert np.array_equal(data.train.reshape(9, 4, 3), grey["train"])
    assert np.array_equal(data.splits["test"].reshape(5, 4, 3), grey["test"])


def test_files_of_two_sets_are_asked_about(tmp_path, grey, get, refusal):
    for family in ("a", "b"):
        for split in ("train", "test"):
            path = tmp_path / f"{family}-{split}-images-idx3-ubyte"
            path.write_bytes(idx(grey[split], False))
    names = {split: f"a-{split}-images-idx3-ubyte" for split in ("train", "test")}
    asked = f"--arrays train={names['train']},test={names['test']}"
    text = refusal(tmp_path)
    assert "several data sets, a, b" in text and asked in text
    assert len(get(tmp_path, arrays=names).train) == 9


def test_a_packed_file_is_read_no_further_than_its_header_says(tmp_path, grey, refusal):
    write_idx(tmp_path, grey["train"], grey["test"])
    header = b"\0\0\x08\x03" + np.array([1, 1, 1], ">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(gzip.compress(header + bytes(1 << 28)))
    tracemalloc.start()
    assert "got more than 1;" in refusal(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()
