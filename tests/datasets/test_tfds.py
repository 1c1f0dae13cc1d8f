"""Prepared TFDS sets in both record formats, and what is said of absent sets."""

import importlib.util
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ratedistortion.datasets import Dataset, load
from ratedistortion.datasets import tfds as tfds_module
from ratedistortion.datasets.records import array_records, decode, read_images
from ratedistortion.datasets.tfrecord import masked_crc32c, tfrecords
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings

FORMATS = ("array_record", "tfrecord")


@pytest.fixture(autouse=True)
def no_sets_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))


def get(dataset: str | Path, data_dir: Path | None = None, **fields: Any) -> Dataset:
    fields = {"batch_size": 2, "likelihood": "gaussian"} | fields
    return load(Settings(dataset=str(dataset), data_dir=data_dir and str(data_dir), **fields))


def refusal(dataset: str | Path, data_dir: Path | None = None, **fields: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        get(dataset, data_dir, **fields)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


# Records


def test_checksums_are_those_of_the_standard() -> None:
    # CRC-32C of "123456789" is e3069283 in every catalogue of CRCs; rotated, plus the constant.
    whole = np.frombuffer(b"123456789" + bytes(32), np.uint8)
    # 32 zeros: 8a9136aa, RFC 3720, section B.4.
    got = masked_crc32c(whole, np.array([0, 9, 3]), np.array([9, 32, 0]))
    expected = [
        ((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF for c in (0xE3069283, 0x8A9136AA, 0)
    ]
    assert got.tolist() == expected


def test_tfrecord_framing(tmp_path: Path, tfrecord) -> None:
    path = tmp_path / "a.tfrecord"
    records = [b"one", b"", b"x" * 300, bytes(range(256))]
    path.write_bytes(tfrecord(*records))
    assert list(tfrecords(path)) == records
    path.write_bytes(b"")
    assert list(tfrecords(path)) == []


def test_every_damaged_byte_of_a_tfrecord_is_noticed(tmp_path: Path, tfrecord) -> None:
    path, good = tmp_path / "a.tfrecord", tfrecord(b"one", b"another")
    for place in range(len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.tfrecord is (cut off or )?damaged"):
            list(tfrecords(path))
        path.write_bytes(good[:place])
        if place not in (0, 19):  # where a file may end
            with pytest.raises(ValueError, match="cut off"):
                list(tfrecords(path))


def test_images_have_the_channels_that_the_features_say(pictures, png) -> None:
    grey, colour = pictures(1, 3, 5)[0], pictures(1, 3, 5, 3)[0]
    assert np.array_equal(decode(png(grey), 1)[..., 0], grey)
    assert np.array_equal(decode(png(colour), 3), colour)
    assert np.array_equal(decode(png(grey), 3), np.stack([grey] * 3, -1))
    palette = io.BytesIO()
    Image.fromarray(colour // 128 * 255).convert("P").save(palette, "png")
    assert np.array_equal(decode(palette.getvalue(), 3), colour // 128 * 255)


# Prepared sets


def test_a_prepared_set_of_two_shards(tmp_path: Path, prepare, pictures) -> None:
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
    assert np.array_equal(get("tiny", tmp_path, max_examples=3).train, data.train[:3])


def test_the_test_split_may_be_validation_or_cut_from_train(
    tmp_path: Path, prepare, pictures
) -> None:
    images = {"train": pictures(12, 4, 3, 3), "validation": pictures(3, 4, 3, 3)}
    prepare(tmp_path, images, version="1.0.0")
    data = get("tiny", tmp_path)
    assert data.shape == (4, 3, 3) and len(data.train) == 12
    assert np.array_equal(data.splits["test"].reshape(3, 4, 3, 3), images["validation"])
    del images["validation"]
    prepare(tmp_path, images, version="1.10.0")
    data = get("tiny", tmp_path)
    assert len(data.train) == 10 and len(data.splits["test"]) == 2
    np.save(tmp_path / "a.npy", np.stack(images["train"]))
    assert get(tmp_path / "a.npy").sha256 == data.sha256
    few = get("tiny", tmp_path, max_examples=4)
    assert np.array_equal(few.train, data.train[:4])


def test_the_newest_version_and_the_only_configuration_are_taken(
    tmp_path: Path, prepare, pictures
) -> None:
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


def test_data_dir_comes_before_the_environment_and_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare, pictures
) -> None:
    for count, root in ((5, "given"), (6, "environment"), (7, "home/tensorflow_datasets")):
        prepare(tmp_path / root, {"train": pictures(count, 2, 2), "test": pictures(2, 2, 2)})
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "environment"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert len(get("tiny", tmp_path / "given").train) == 5
    assert len(get("tiny").train) == 6
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert len(get("tiny").train) == 7


def test_the_image_called_image_is_taken_among_several(tmp_path: Path, prepare, pictures) -> None:
    images = {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)}
    prepare(tmp_path / "a", images, images=("image", "mask"))
    assert len(get("tiny", tmp_path / "a").train) == 5
    prepare(tmp_path / "b", images, images=("left", "right"))
    assert "one image in each example: got left, right" in refusal("tiny", tmp_path / "b")


def test_sets_that_cannot_be_used(tmp_path: Path, prepare, pictures) -> None:
    images = {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)}
    prepare(
        tmp_path / "a",
        {"train": [*pictures(5, 2, 2), *pictures(1, 3, 2)], "test": pictures(2, 2, 2)},
    )
    text = refusal("tiny", tmp_path / "a")
    assert "images must be of one size: got (2, 2, 1) and, as number 6, (3, 2, 1)" in text
    prepare(tmp_path / "b", images, dtype="uint16")
    assert "must have 8-bit images: got uint16" in refusal("tiny", tmp_path / "b")
    prepare(tmp_path / "c", {"testing": images["train"]})
    assert "must have a train split: got testing" in refusal("tiny", tmp_path / "c")
    folder = prepare(tmp_path / "d", images)
    info = (folder / "dataset_info.json").read_text()
    (folder / "dataset_info.json").write_text(info.replace('"tfrecord"', '"parquet"'))
    assert "array_record or tfrecord: got parquet" in refusal("tiny", tmp_path / "d")


def test_both_formats_are_read_as_tfds_reads_them(shared_data) -> None:
    import tensorflow_datasets

    first, second = (get("mnist", shared_data / "tfds_tiny" / form) for form in FORMATS)
    assert first.sha256 == second.sha256
    assert first.train.shape == (512, 784) and first.splits["test"].shape == (256, 784)
    folder = shared_data / "tfds_tiny" / "array_record" / "mnist" / "3.0.1"
    source = tensorflow_datasets.builder_from_directory(folder).as_data_source("test")
    expected = np.stack([each["image"].reshape(784) for each in source])  # TFDS 4.9.10
    assert np.array_equal(first.splits["test"], expected)


def test_binarized_mnist_has_the_known_pixel_sum(
    capfd: pytest.CaptureFixture[str], shared_data
) -> None:
    path = next((shared_data / "tfds" / "binarized_mnist").glob("*/*-test.array_record-*"))
    images = read_images([path], "array_record", "image", 1, 10_000)
    assert images.shape == (10_000, 28, 28, 1) and images.max() == 1
    assert images.sum(dtype=int) == 1_038_896
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "words", "flip", "info", "features"])
def test_damaged_sets(tmp_path: Path, form: str, damage: str, shared_data) -> None:
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


# Absent sets


def test_unknown_names_get_close_matches() -> None:
    text = refusal("mnits")
    assert "no data set is called 'mnits'" in text and "did you mean mnist" in text
    assert "did you mean fashion_mnist" in refusal("fashionmnist:1.0.0")
    assert "did you mean mnist" in refusal("MNIST")
    assert "did you mean gaussian?" in refusal("gausian:4,1")
    assert "check the spelling" in refusal("qqqqqq")


def test_a_set_that_is_not_prepared_gets_the_two_commands(tmp_path: Path) -> None:
    text = refusal("mnist:3.0.1", tmp_path)
    assert f"not prepared in {tmp_path}:" in text
    assert "`pip install tensorflow importlib_resources`" in text
    assert "tfds.builder('mnist:3.0.1'" in text and "file_format='array_record'" in text


def test_a_bare_word_is_never_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare, pictures
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)})
    (tmp_path / "mnist").mkdir()
    assert "(the path of that name is ./mnist)" in refusal("mnist")
    assert len(get("./tiny/1.0.0").train) == len(get("tiny/1.0.0").train) == 5


def test_download_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = refusal("mnist", download=True)
    assert "tensorflow and importlib_resources must be installed" in text
    assert "`pip install tensorflow importlib_resources`" in text


def test_download_only_when_asked_and_only_what_is_known(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    prepare,
    pictures,
) -> None:
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

    monkeypatch.setattr(tfds_module, "_NEEDED", ())
    monkeypatch.setattr(tensorflow_datasets, "builder", builder)
    refusal("mnist", tmp_path)
    refusal("mnits", tmp_path, download=True)
    assert asked == []
    assert len(get("mnist", tmp_path, download=True).train) == 5
    assert asked == [("mnist", {"data_dir": tmp_path, "file_format": "array_record"})]
    assert capfd.readouterr().out == ""
    assert "mnist could not be downloaded:" in refusal("mnist", tmp_path, download=True)


def test_array_records_in_slices(monkeypatch: pytest.MonkeyPatch, shared_data) -> None:
    path = next((shared_data / "tfds_tiny" / "array_record").glob("mnist/*/mnist-test*"))
    whole = list(array_records(path))
    monkeypatch.setattr("ratedistortion.datasets.records._RECORDS_A_SLICE", 100)
    assert list(array_records(path)) == whole and len(whole) == 256
