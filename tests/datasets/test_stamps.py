"""Whether the data of a finished sweep are still the same: files are read only if in doubt."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ratedistortion import datasets
from ratedistortion.datasets import load, stamps
from ratedistortion.errors import DatasetError, RunDirectoryError
from ratedistortion.events import Report, Warned
from ratedistortion.run_directory.reading import MANIFEST_VERSION
from ratedistortion.settings import Settings
from ratedistortion.sweeping.manifest import Manifest


def settings_of(dataset: object, **values: Any) -> Settings:
    return Settings(dataset=str(dataset), likelihood="gaussian", batch_size=2, **values)


def zeros_and_ones(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (60, 4), np.uint8)


def idx(path: Path, seed: int) -> None:
    path.write_bytes(b"\0\0\x08\x03" + bytes([0, 0, 0, 60, 0, 0, 0, 2, 0, 0, 0, 2]))
    with path.open("ab") as file:
        file.write(zeros_and_ones(seed).tobytes())


@pytest.fixture(params=("npy", "idx", "idx in raw", "tfds name", "tfds folder"))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def made(kind, tmp_path, prepare, pictures) -> tuple[Settings, Path]:
    """A data set on disk, and one of its files."""
    if kind.startswith("idx"):
        folder = tmp_path / ("idx/MNIST/raw" if kind == "idx in raw" else "idx")
        folder.mkdir(parents=True)
        for name in ("train", "t10k"):
            idx(folder / f"{name}-images-idx3-ubyte", 0)
        return settings_of(tmp_path / "idx"), folder / "t10k-images-idx3-ubyte"
    if kind.startswith("tfds"):
        splits = {name: pictures(10, 2, 2) for name in ("train", "test")}
        folder = prepare(tmp_path, splits)
        file = folder / "tiny-test.tfrecord-00001-of-00002"
        named = settings_of("tiny", data_dir=str(tmp_path), max_examples=8)
        return named if kind == "tfds name" else settings_of(folder), file
    np.save(tmp_path / "data.npy", zeros_and_ones(0))
    return settings_of(tmp_path / "data.npy"), tmp_path / "data.npy"


def change(file: Path) -> None:
    """Writes other data into a file without changing its length."""
    if file.suffix == ".npy":
        np.save(file, zeros_and_ones(1))
    elif "idx" in file.name:
        idx(file, 1)
    else:  # the first shard has other images, so it stands for changed data
        file.write_bytes(file.with_name(file.name.replace("00001-of", "00000-of")).read_bytes())


def check(values: dict[str, Any], settings: Settings, report: Report) -> None:
    Manifest(Path("run"), values, settings).check_data(settings, report)


def no_event(event: object) -> None:
    raise AssertionError(event)


def manifest_of(settings: Settings) -> dict[str, Any]:
    data = load(settings)
    values = {"schema": MANIFEST_VERSION, "data_sha256": data.sha256, "data_files": data.stamps}
    return json.loads(json.dumps(values))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """A list that gets the settings of each call of `load`."""
    asked: list[Settings] = []
    monkeypatch.setattr(datasets, "load", lambda settings: asked.append(settings) or load(settings))
    return asked


def test_untouched_files_are_not_read(made, loads):
    settings, file = made
    manifest = manifest_of(settings)
    (stamp,) = (it for name, it in manifest["data_files"].items() if Path(name).name == file.name)
    assert stamp == [file.stat().st_size, file.stat().st_mtime_ns]
    check(manifest, settings, no_event)
    assert loads == []


def test_files_with_a_new_time_are_read_and_found_the_same(made, loads):
    settings, file = made
    manifest = manifest_of(settings)
    os.utime(file, ns=(0, 0))
    check(manifest, settings, no_event)
    assert len(loads) == 1


def test_files_with_other_data_are_refused(made, kind):
    settings, file = made
    manifest, size = manifest_of(settings), file.stat().st_size
    change(file)
    assert kind.startswith("tfds") or file.stat().st_size == size
    with pytest.raises(RunDirectoryError, match="has changed since .* then, .* now; restore it"):
        check(manifest, settings, no_event)


@pytest.mark.parametrize("known", [True, False])
def test_missing_data_give_one_warning(made, kind, known):
    settings, file = made
    manifest = manifest_of(settings)
    for each in file.parent.iterdir() if kind != "npy" else [file]:
        each.unlink()
    if not known:  # a sweep that downloads its data cannot know the files before
        manifest["data_files"] = None
    events: list[Any] = []
    check(manifest, settings, events.append)
    (event,) = events
    assert isinstance(event, Warned) and "\n" not in event.text
    assert event.text.startswith("the data were not compared with those of this sweep: ")


@pytest.mark.parametrize("kind", ["npy"], indirect=True)
def test_with_a_manifest_without_stamps_the_data_are_read(made, loads):
    settings, file = made
    manifest = manifest_of(settings)
    del manifest["data_files"]
    check(manifest, settings, no_event)
    assert len(loads) == 1
    change(file)
    with pytest.raises(RunDirectoryError):
        check(manifest, settings, no_event)


@pytest.mark.parametrize("dataset", ["digits", "gaussian:4,1", "bernoulli:.3,4", "patterns:4,8,.1"])
def test_sets_without_files_cannot_change(dataset, loads):
    settings = settings_of(dataset)
    assert stamps(settings) == {}
    check({"data_sha256": "0", "data_files": {}}, settings, no_event)
    assert loads == []


def test_nothing_is_downloaded_for_the_comparison(tmp_path, loads):
    settings = settings_of("mnist", data_dir=str(tmp_path), download=True)
    check({"data_sha256": "0", "data_files": {"a": [1, 2]}}, settings, lambda event: None)
    assert [each.download for each in loads] == [False]


def test_a_pipe_in_place_of_the_data_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "data.npy")
    with pytest.raises(DatasetError, match="data.npy is no regular file"):
        load(settings_of(tmp_path / "data.npy"))


def test_a_name_that_became_ambiguous_gives_one_warning(tmp_path, prepare, pictures):
    for config in ("a", "b"):
        prepare(tmp_path, {"train": pictures(9, 2, 2)}, config=config)
    events: list[Any] = []
    settings = settings_of("tiny", data_dir=str(tmp_path))
    check({"data_sha256": "0", "data_files": {}}, settings, events.append)
    assert "name one of these" in events[0].text


def test_comparing_needs_no_jax():
    done = subprocess.run(
        [sys.executable, "-c", f"import {Manifest.__module__}, sys; print('jax' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


def test_data_that_an_older_version_read_in_another_way_are_a_warning(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(30, 3)))
    settings, told = settings_of(tmp_path / "a.npy"), []
    older = manifest_of(settings) | {"schema": MANIFEST_VERSION - 1, "data_sha256": "0" * 64}
    check(older | {"data_files": {}}, settings, told.append)
    assert [event.text[:40] for event in told] == ["an older version read the data in anothe"]
