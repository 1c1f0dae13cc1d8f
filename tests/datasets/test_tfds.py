"""TFDS sets that are prepared, damaged, absent or downloaded."""

import importlib.util
import shutil
from typing import Any

import numpy as np
import pytest

FORMATS = ("array_record", "tfrecord")


def test_a_prepared_set_of_two_shards(tmp_path, prepare, pictures, get):
    images = {
        "train": pictures(11, 4, 3),
        "test": pictures(4, 4, 3),
        "validation": pictures(3, 4, 3),
    }
    folder = prepare(tmp_path, images)
    data = get("tiny", tmp_path)
    assert data.shape == (4, 3, 1) and data.scale == 1 / 255
    assert np.array_equal(data.train.reshape(11, 4, 3), images["train"])
    assert np.array_equal(data.splits["test"].reshape(4, 4, 3), images["test"])
    for other in (get("tiny:1.0.0", tmp_path), get(folder)):
        assert other.sha256 == data.sha256
    assert "/tiny/1.0.0[train, test]: 11 + 4 images of 4 × 3 × 1" in data.description
    assert data.description.endswith("divided by 255; not used: validation (3)")
    first = get("tiny", tmp_path, max_examples=3, first=True)
    assert np.array_equal(first.train, data.train[:3])
    some = get("tiny", tmp_path, max_examples=3)
    np.savez(tmp_path / "a.npz", **images)
    assert some.sha256 == get(tmp_path / "a.npz", max_examples=3).sha256 != first.sha256
    assert set(map(bytes, some.train)) <= set(map(bytes, data.train))


def test_the_test_split_may_be_validation_or_cut_from_train(tmp_path, prepare, pictures, get):
    images = {"train": pictures(12, 4, 3, 3), "validation": pictures(3, 4, 3, 3)}
    prepare(tmp_path, images, version="1.0.0")
    data = get("tiny", tmp_path)
    assert data.shape == (4, 3, 3) and len(data.train) == 12
    assert np.array_equal(data.splits["test"].reshape(3, 4, 3, 3), images["validation"])
    assert "[train, validation as test]" in data.description
    del images["validation"]
    prepare(tmp_path, images, version="1.10.0")
    data = get("tiny", tmp_path)
    assert len(data.train) == 10 and len(data.splits["test"]) == 2
    np.save(tmp_path / "a.npy", np.stack(images["train"]))
    assert get(tmp_path / "a.npy", layout="NHWC").sha256 == data.sha256
    few = get("tiny", tmp_path, max_examples=4, first=True)
    assert np.array_equal(few.train, data.train[:4])


def test_the_newest_version_and_the_only_configuration_are_read(
    tmp_path, prepare, pictures, get, refusal
):
    for number, version in enumerate(("1.9.0", "1.10.0", "1.2.0"), start=5):
        split = pictures(number, 2, 2)
        prepare(tmp_path, {"train": split, "test": split}, version, config="small")
    (tmp_path / "tiny" / "small" / "9.9.9.incompleteABC").mkdir()
    assert len(get("tiny", tmp_path).train) == 6
    assert len(get("tiny/small", tmp_path).train) == 6
    assert len(get("tiny/small:1.9.0", tmp_path).train) == 5
    prepare(tmp_path, {"train": pictures(9, 2, 2), "test": pictures(2, 2, 2)}, config="large")
    assert "prepared as tiny/large, tiny/small: name one" in refusal("tiny", tmp_path)
    assert len(get("tiny/large", tmp_path).train) == 9


def test_data_dir_comes_before_environment_and_home(tmp_path, monkeypatch, prepare, pictures, get):
    for count, root in ((5, "given"), (6, "environment"), (7, "home/tensorflow_datasets")):
        prepare(tmp_path / root, {"train": pictures(count, 2, 2), "test": pictures(2, 2, 2)})
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "environment"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert len(get("tiny", tmp_path / "given").train) == 5
    assert len(get("tiny").train) == 6
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert len(get("tiny").train) == 7


def test_the_image_called_image_is_taken_among_several(tmp_path, prepare, pictures, get, refusal):
    images = {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)}
    prepare(tmp_path / "a", images, images=("image", "mask"))
    assert len(get("tiny", tmp_path / "a").train) == 5
    prepare(tmp_path / "b", images, images=("left", "right"))
    assert "one image in each example: got left, right" in refusal("tiny", tmp_path / "b")


def test_sets_without_8_bit_images_of_one_size_are_refused(tmp_path, prepare, pictures, refusal):
    images = {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)}
    prepare(
        tmp_path / "a",
        {"train": [*pictures(5, 2, 2), *pictures(1, 3, 2)], "test": pictures(2, 2, 2)},
    )
    text = refusal("tiny", tmp_path / "a")
    assert "images must be of one size: got (2, 2, 1) and, as number 6, (3, 2, 1)" in text
    prepare(tmp_path / "b", images, dtype="uint16")
    assert "must have 8-bit images: got uint16" in refusal("tiny", tmp_path / "b")
    prepare(tmp_path / "c", {"left": images["train"], "right": images["train"]})
    assert "no name is known among left (5), right (5)" in refusal("tiny", tmp_path / "c")
    folder = prepare(tmp_path / "d", images)
    info = (folder / "dataset_info.json").read_text()
    (folder / "dataset_info.json").write_text(info.replace('"tfrecord"', '"parquet"'))
    assert "array_record or tfrecord: got parquet" in refusal("tiny", tmp_path / "d")


def test_both_formats_are_read_as_tfds_reads_them(shared_data, get):
    import tensorflow_datasets

    first, second = (get("mnist", shared_data / "tfds_tiny" / form) for form in FORMATS)
    assert first.sha256 == second.sha256
    assert first.train.shape == (512, 784) and first.splits["test"].shape == (256, 784)
    folder = shared_data / "tfds_tiny" / "array_record" / "mnist" / "3.0.1"
    source = tensorflow_datasets.builder_from_directory(folder).as_data_source("test")
    expected = np.stack([each["image"].reshape(784) for each in source])  # TFDS 4.9.10
    assert np.array_equal(first.splits["test"], expected)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "words", "flip", "info", "features"])
def test_damaged_sets_are_refused(tmp_path, form, damage, shared_data, refusal):
    root = tmp_path / "data"
    shutil.copytree(shared_data / "tfds_tiny" / form, root, copy_function=shutil.copyfile)
    folder = root / "mnist" / "3.0.1"
    folder.chmod(0o755)
    path = next(folder.glob("mnist-train*"))
    content = bytearray(path.read_bytes())
    content[70_001] ^= 1
    damaged = {"cut": content[:80_000], "empty": b"", "words": b"words " * 20_000, "flip": content}
    if damage == "info":
        (folder / "dataset_info.json").write_text("{")
    elif damage in damaged:
        path.write_bytes(damaged[damage])
    else:
        (path if damage == "gone" else folder / "features.json").unlink()
    text = refusal("mnist", root)
    assert str(folder) in text and "cannot be read" in text and "prepare it again" in text


def test_unknown_names_get_close_matches(refusal):
    text = refusal("mnits")
    assert "no data set is called 'mnits'" in text and "did you mean mnist" in text
    assert "did you mean fashion_mnist" in refusal("fashionmnist:1.0.0")
    assert "did you mean mnist" in refusal("MNIST")
    assert "did you mean gaussian?" in refusal("gausian:4,1")
    assert "check the spelling" in refusal("qqqqqq")


def test_a_set_that_is_not_prepared_gets_the_two_commands(tmp_path, refusal):
    text = refusal("mnist:3.0.1", tmp_path)
    assert f"not prepared in {tmp_path}:" in text
    assert "`pip install tensorflow importlib_resources`" in text
    assert "tfds.builder('mnist:3.0.1'" in text and "file_format='array_record'" in text


def test_download_names_the_packages_that_are_missing(monkeypatch, refusal):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = refusal("mnist", download=True)
    assert "tensorflow and importlib_resources must be installed" in text
    assert "`pip install tensorflow importlib_resources`" in text


def test_download_only_when_asked_and_only_what_is_known(
    tmp_path, monkeypatch, capfd, prepare, pictures, get, refusal
):
    import tensorflow_datasets

    class Builder:
        data_dir = str(tmp_path / "tiny" / "1.0.0")

        def download_and_prepare(self) -> None:
            print("progress")
            prepare(tmp_path, {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)})

    asked = []

    def builder(name: str, **options: Any) -> Builder:
        asked.append((name, options))
        return Builder()

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(tensorflow_datasets, "builder", builder)
    refusal("mnist", tmp_path)
    refusal("mnits", tmp_path, download=True)
    assert asked == []
    assert len(get("mnist", tmp_path, download=True).train) == 5
    assert asked == [("mnist", {"data_dir": tmp_path, "file_format": "array_record"})]
    assert capfd.readouterr().out == ""
    assert "mnist could not be downloaded:" in refusal("mnist", tmp_path, download=True)
