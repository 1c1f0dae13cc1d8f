"""Images from folders of idx files, plain and gzipped, whole and damaged."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


def write_idx(folder: Path, train: np.ndarray, test: np.ndarray, suffix: str = "") -> Path:
    for name, array in (("train", train), ("t10k", test)):
        content = b"\0\0\x08\x03" + np.array(array.shape, ">u4").tobytes() + array.tobytes()
        content = gzip.compress(content) if suffix else content
        (folder / f"{name}-images-idx3-ubyte{suffix}").write_bytes(content)
    return folder


@given(
    hnp.arrays(np.uint8, st.tuples(*[st.integers(2, 6)] * 3)),
    st.sampled_from(["", ".gz"]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_idx_round_trip(get, array, suffix):
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
    assert "must hold t10k-images-idx3-ubyte" in refusal(tmp_path)


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
