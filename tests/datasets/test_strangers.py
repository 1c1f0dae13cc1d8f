"""Files made by somebody who means harm: refused in one line, before memory or time is spent."""

import io
import json
import os
import sys
import tracemalloc
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ratedistortion.datasets.records import decode


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 26  # 64 MiB


def npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    file = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": dtype}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["<U0", "|S0", "|V0", "|u1", "<f8"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_headers_that_promise_more_than_there_is(tmp_path, refusal, dtype, suffix):
    path, content = tmp_path / f"a{suffix}", npy_header((1 << 40, 28, 28), dtype)
    if suffix == ".npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("train.npy", content)
    assert "do not fit its" in refusal(path)


def test_an_npz_that_unpacks_to_a_thousand_times_its_size(tmp_path, refusal):
    path, size = tmp_path / "a.npz", 65 << 24  # a little more than is unpacked without asking
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("train.npy", "w", force_zip64=True) as member:
            member.write(npy_header((size >> 10, 1 << 10), "|u1"))
            for _ in range(size >> 24):
                member.write(bytes(1 << 24))
    assert path.stat().st_size < 1 << 21
    assert "train would unpack from" in refusal(path)


def test_an_npz_with_two_arrays_of_one_name(tmp_path, refusal):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(2):
            file = io.BytesIO()
            np.save(file, np.full((20, 3), number))
            archive.writestr("train.npy", file.getvalue())
    assert "train is there twice" in refusal(path)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.gz"])
def test_a_pipe_is_not_waited_for(tmp_path, refusal, name):
    os.mkfifo(tmp_path / name)
    assert "is no regular file" in refusal(tmp_path / name)


def changed(folder: Path, file: str, old: str, new: str) -> Path:
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return folder


@pytest.fixture
def prepared(tmp_path, prepare, pictures) -> Path:
    return prepare(tmp_path, {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)})


def test_no_module_that_a_tfds_folder_names_is_imported(tmp_path, prepared, monkeypatch, get):
    (tmp_path / "harmful.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    changed(prepared, "features.json", '"tensorflow_datasets.core', '"harmful.core')
    assert len(get(prepared).train) == 5 and "harmful" not in sys.modules


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("../{SPLIT}", "is not in the folder"),
        ("/etc/hostname", "is not in the folder"),
        ("link", "is not in the folder"),
        ("pipe", "is no regular file"),
        ("{DATASET.__class__}", "is no regular file"),
    ],
)
def test_record_files_lie_in_the_folder(tmp_path, prepared, refusal, template, reason):
    (tmp_path / "outside").write_bytes(b"anything")
    (prepared / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(prepared / "pipe")
    name = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    changed(prepared, "dataset_info.json", name, template)
    assert reason in refusal(prepared)


@pytest.mark.parametrize(
    "info", ["[]", "{}", '{"splits": 3}', "[" * 100_000, '{"splits": [{"name": "train"}]}', "\xff"]
)
def test_descriptions_that_are_damaged(prepared, refusal, info):
    (prepared / "dataset_info.json").write_text(info, encoding="latin-1")
    assert "cannot be read" in refusal(prepared)


def test_a_format_that_starts_another_program_is_no_image():
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "eps")
    with pytest.raises(OSError, match="cannot identify"):
        decode(file.getvalue(), 3)


def test_counts_that_no_file_has(prepared, refusal):
    text = json.loads((prepared / "dataset_info.json").read_text())
    text["splits"][0]["shardLengths"] = ["2", str(10**12)]
    (prepared / "dataset_info.json").write_text(json.dumps(text))
    assert "1,000,000,000,002 records cannot be in" in refusal(prepared)
