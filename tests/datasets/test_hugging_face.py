"""Local files that Hugging Face's `datasets` reads, with the hub switched off."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from PIL import Image

datasets = pytest.importorskip("datasets")
TRAIN = np.random.default_rng(0).integers(0, 256, (12, 8, 6), np.uint8)
TEST = TRAIN[:5, ::-1].copy()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The library keeps its copies here, and not among those of the user."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


def folder_of_images(path: Path, **splits: np.ndarray) -> Path:
    for split, images in splits.items():
        for n, image in enumerate(images):
            file = path / split / "abc"[n % 3] / f"{n:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(file)
    return path


def rows(array: np.ndarray) -> list[bytes]:
    return sorted(np.ascontiguousarray(row).tobytes() for row in array)


def test_a_folder_of_images(tmp_path, get):
    folder_of_images(tmp_path / "photos", train=TRAIN, test=TEST)
    data = get("hf:imagefolder:photos")
    assert rows(data.train) == rows(TRAIN) and rows(data.splits["test"]) == rows(TEST)
    assert data.description.startswith(
        "hf:imagefolder:photos[train, test: image]: 12 + 5 images of 8 × 6 × 1, whole numbers 0"
    )
    assert "; not used: label (labels)" in data.description
    colours = np.stack([TRAIN] * 3, axis=-1)
    folder_of_images(tmp_path / "colours", train=colours)
    assert get("hf:imagefolder:colours").shape == (8, 6, 3)


def test_images_in_parquet(tmp_path, get, refusal):
    def encoded(image: np.ndarray) -> dict[str, bytes]:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png")
        return {"bytes": file.getvalue()}

    features = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    for split, images in (("train", TRAIN), ("test", TEST)):
        column = [encoded(image) for image in images]
        frame = datasets.Dataset.from_dict({"image": column, "mask": column}, features=features)
        frame.to_parquet(tmp_path / "set" / f"{split}.parquet")
    data = get("hf:parquet:set")
    assert np.array_equal(data.train.reshape(TRAIN.shape), TRAIN)
    assert np.array_equal(data.splits["test"].reshape(TEST.shape), TEST)
    assert "not used: mask (images)" in data.description
    arrays = {"train": "train/mask", "test": "test/mask"}
    assert "[train, test: mask]" in get("hf:parquet:set", arrays=arrays).description
    assert "no column 'faces': got image, mask" in refusal(
        "hf:parquet:set", arrays={"train": "train/faces"}
    )


def test_arrays_and_numbers_in_tables(tmp_path, get):
    bits = TRAIN[:, :4, :4] // 128
    features = datasets.Features({"pixels": datasets.Array2D((4, 4), "uint8")})
    datasets.Dataset.from_dict({"pixels": bits.tolist()}, features=features).to_parquet("a.parquet")
    data = get("hf:parquet:a.parquet")
    assert data.shape == (4, 4, 1) and "zeros and ones" in data.description
    assert rows(np.concatenate([data.train, data.splits["test"]])) == rows(bits)
    values = np.random.default_rng(1).normal(size=(30, 3))
    table = pandas.DataFrame(values, columns=["a", "b", "c"])
    table.assign(name="x", label=1).to_csv("a.csv", index=False)
    table.to_json("a.json", orient="records", lines=True, double_precision=15)
    for name in ("csv:a.csv", "json:a.json"):
        data = get(f"hf:{name}", scale="none")
        found = np.concatenate([data.train, data.splits["test"]])
        assert np.array_equal(np.sort(found, axis=0), np.sort(values.astype(np.float32), axis=0))
    assert "not used: name (no numbers), label (labels)" in get("hf:csv:a.csv").description


def test_fewer_examples_are_the_same_choice_as_of_an_array(tmp_path, get):
    folder_of_images(tmp_path / "photos", train=TRAIN, test=TEST)
    whole, some = get("hf:imagefolder:photos"), get("hf:imagefolder:photos", max_examples=4)
    np.savez("a.npz", train=whole.train, test=whole.splits["test"])
    expected = get("a.npz", max_examples=4, shape=(8, 6), scale=255.0)
    assert some.sha256 == expected.sha256


def test_what_cannot_be_read_is_refused(tmp_path, refusal):
    assert "none.csv is not there" in refusal("hf:csv:none.csv")
    assert "the path is not there" in refusal("hf:csv:")
    assert "nothing was downloaded" in refusal("hf:mnist")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    assert "damaged.parquet cannot be read" in refusal("hf:parquet:damaged.parquet")
    folder = folder_of_images(tmp_path / "photos", train=TRAIN)
    (folder / "train" / "a" / "00.png").write_bytes(b"no image")
    assert "row 0 of hf:imagefolder:photos, train (00.png) is no image" in refusal(
        "hf:imagefolder:photos"
    )
    Image.fromarray(TRAIN[0, :5]).save(folder / "train" / "a" / "00.png")
    assert "row 0 has (5, 6, 1) uint8, row 1 (8, 6, 1) uint8" in refusal("hf:imagefolder:photos")
    pandas.DataFrame({"name": ["x"] * 9}).to_csv("text.csv", index=False)
    assert "no column of images or numbers: name" in refusal("hf:csv:text.csv")


def test_frames_and_turned_photographs(tmp_path, get, refusal):
    folder = folder_of_images(tmp_path / "photos", train=TRAIN)
    turned = Image.fromarray(np.rot90(TRAIN[0]).copy())
    exif = turned.getexif()
    exif[0x0112] = 6  # to be shown turned clockwise
    turned.save(folder / "train" / "a" / "00.png", exif=exif)
    data = get("hf:imagefolder:photos")
    assert sorted(map(bytes, np.concatenate([data.train, data.splits["test"]]))) == rows(TRAIN)
    first, *others = (Image.fromarray(image) for image in TRAIN[:3])
    first.save(folder / "train" / "a" / "00.gif", save_all=True, append_images=others)
    assert "(00.gif) is no image that can be read: it has 3 frames" in refusal(
        "hf:imagefolder:photos"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("height;weight\n1.20;50.5\n1.30;60.5\n", "not separated by commas"),
        ("height;weight\n1,20;50,5\n1,30;60,5\n", "more fields than its first line"),
        ("", "cannot be read"),
        ("a,b\n1,2,3\n4,5,6\n", "more fields than its first line"),
        ("0.5,0.25\n0.1,0.2\n", "no line of names"),
    ],
)
def test_csv_files_that_would_be_misread_are_refused(tmp_path, refusal, text, problem):
    (tmp_path / "a.csv").write_text(text)
    assert problem in refusal("hf:csv:a.csv")


def test_numbers_keep_their_precision(tmp_path, get):
    seconds = 1.6e9 + np.arange(30.0)
    table = pandas.DataFrame({"time": seconds, "acc_y": np.arange(30), "y": np.zeros(30)})
    table.to_parquet("a.parquet")
    data = get("hf:parquet:a.parquet", layout="ND")
    found = np.concatenate([data.train, data.splits["test"]])
    assert "[train: time, acc_y]" in data.description and "not used: y (labels)" in data.description
    assert len(np.unique(found[:, 0])) == 30 and abs(data.spread[0] - seconds.std()) < 1
    both = get("hf:parquet:a.parquet", arrays={"train": "train/acc_y+y"})
    assert "[train: acc_y, y]" in both.description


def test_patterns_and_changed_files_are_not_mixed_up(tmp_path, get):
    for name, value in (("data1.csv", 1.5), ("data[1].csv", 7.5)):
        pandas.DataFrame({"a": np.arange(30) + value}).to_csv(name, index=False)
    first = get("hf:csv:data[1].csv", scale="none")
    assert first.train.min() >= 7.5
    stamp = (tmp_path / "data[1].csv").stat()
    pandas.DataFrame({"a": np.arange(30) + 2.5}).to_csv("data[1].csv", index=False)
    os.utime("data[1].csv", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert get("hf:csv:data[1].csv", scale="none").train.min() < 7.5


def test_data_name_no_other_file_of_this_machine(tmp_path, refusal):
    Image.fromarray(TRAIN[0]).save("private.png")
    schema = datasets.Features({"image": datasets.Image()}).arrow_schema
    rows = [{"image": {"bytes": None, "path": str(tmp_path / "private.png")}}] * 9
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), "a.parquet")
    assert "(private.png) is no image that can be read" in refusal("hf:parquet:a.parquet")
    folder = folder_of_images(tmp_path / "photos", train=TRAIN)
    (folder / "train" / "a" / "00.png").unlink()
    (folder / "train" / "a" / "00.png").symlink_to(tmp_path / "private.png")
    assert "00.png" in refusal("hf:imagefolder:photos")


def test_images_of_a_folder_that_are_not_read_are_counted(tmp_path, get):
    folder_of_images(tmp_path / "photos", train=TRAIN, bicycle=TEST)
    assert "5 other images of the folder" in get("hf:imagefolder:photos").description


def test_the_library_is_asked_for_where_it_is_missing(monkeypatch, refusal):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "run `pip install 'ratedistortion[hf]'`" in refusal("hf:csv:a.csv")
