"""What names and paths stand for, and what loading asks of every data set."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from ratedistortion.datasets import load
from ratedistortion.errors import DatasetError, SettingsError
from ratedistortion.settings import Settings, from_mapping


def test_a_bare_word_is_never_a_path(tmp_path, monkeypatch, prepare, pictures, get, refusal):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, {"train": pictures(5, 2, 2), "test": pictures(2, 2, 2)})
    (tmp_path / "mnist").mkdir()
    assert "(the path of that name is ./mnist)" in refusal("mnist")
    assert len(get("./tiny/1.0.0").train) == len(get("tiny/1.0.0").train) == 5


def test_paths_without_data_are_refused(tmp_path, refusal):
    assert "is not there" in refusal(tmp_path / "none.npz")
    assert "is not there" in refusal(tmp_path / "none")
    assert "is not there" in refusal("none.npz") and "is not there" in refusal("~/none/none")
    assert "must hold train-images-idx3-ubyte" in refusal(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    assert "must hold train-images-idx3-ubyte" in refusal(tmp_path / "folder.npz")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("a.csv", "give hf:csv:a.csv, which needs `pip install 'ratedistortion[hf]'`"),
        ("a.PNG", "for a folder of images give hf:imagefolder:."),
        ("a.mat", "scipy.io.loadmat('a.mat'); import numpy; numpy.savez('a.npz', **{k: v for"),
        ("a.h5", "h5py.File('a.h5').items()"),
        ("a.pkl", "numpy.savez('a.npz', train=..., test=...)"),
        ("a.pt", "numpy.savez('a.npz', train=..., test=...)"),
    ],
)
def test_files_of_other_formats_get_the_line_to_type(tmp_path, monkeypatch, refusal, name, advice):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(b"anything")
    assert advice in refusal(name)


def test_fewer_examples_than_a_batch_are_refused(get, refusal):
    text = refusal("digits", max_examples=50, batch_size=51)
    assert "at least 51 training examples" in text and "got 50 train and 50 test" in text
    assert "--batch-size" in text
    assert get("digits", max_examples=50, batch_size=50).train.shape == (50, 64)
    assert "2 in each split" in refusal("digits", max_examples=1, batch_size=1)


def test_importing_is_cheap():
    code = (
        "import sys, numpy, ratedistortion.datasets; "
        "print(*({'jax', 'PIL', 'tensorflow_datasets', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


ARRAY = np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (ARRAY, "train]: 34 + 6 vectors of 3"),
        ((ARRAY, ARRAY[:9] + 1), "train, test]: 40 + 9 vectors of 3"),
        ({"train": ARRAY, "validation": ARRAY[:9] + 1}, "train, validation as test]: 40 + 9"),
        (pandas.DataFrame(ARRAY, columns=["a", "b", "c"]).assign(name="x"), "train]: 34 + 6"),
    ],
)
def test_arrays_of_a_program_are_data(given, label):
    settings = Settings(dataset=given, likelihood="gaussian", batch_size=2)
    assert load(settings).description.startswith(f"arrays of this program[{label}")
    again = from_mapping(settings.as_json(), "manifest.json")
    assert again == settings and load(again).sha256 == load(settings).sha256


def test_arrays_of_another_program_are_asked_for(refusal):
    assert "continue from a program that gives" in refusal("memory:0123456789abcdef")
    for wrong in (np.array([["a"]]), [["a"]], ("a",), object()):
        with pytest.raises(SettingsError, match="dataset must be a name, a path, an array"):
            Settings(dataset=wrong)


def test_the_columns_of_dataframes_go_by_their_names():
    train = pandas.DataFrame(ARRAY, columns=["a", "b", "acc_y"])
    train = train.assign(y=1, on=ARRAY[:, 0] > 0, name="x")
    train["few"] = pandas.array([1, None] * 20, "Int64")
    test = train[["few", "on", "acc_y", "b", "a"]][:9].fillna(0)
    with pytest.raises(DatasetError, match="nan or inf, first in row 1 at"):
        load(Settings(dataset=(train, test), likelihood="gaussian", batch_size=2))
    data = load(Settings(dataset=(train.fillna(0), test), likelihood="gaussian", batch_size=2))
    expected = train[["a", "b", "acc_y", "on", "few"]].fillna(0).to_numpy(float)
    assert np.allclose(data.in_own_units(data.train), expected, atol=1e-6)
    assert np.allclose(data.in_own_units(data.splits["test"]), expected[:9], atol=1e-6)
    assert "not used: y (labels), name (no numbers)" in data.description
    with pytest.raises(DatasetError, match="test has no column 'b'"):
        load(Settings(dataset=(train.fillna(0), test.drop(columns="b")), likelihood="gaussian"))


def test_arrays_are_kept_as_they_were_given():
    array = ARRAY.copy()
    settings = Settings(dataset=array, likelihood="gaussian", batch_size=2)
    before = load(settings).sha256
    array *= 3
    assert load(settings).sha256 == before
    assert load(Settings(**vars(settings) | {"dataset": array})).sha256 != before
    with pytest.raises(SettingsError, match="is masked; fill it first"):
        Settings(dataset=np.ma.masked_array(array, array > 1))


def test_an_object_of_a_path_is_a_path(tmp_path, monkeypatch, refusal):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert Settings(dataset=Path("digits")).dataset == "./digits"
    assert "digits must hold train-images" in refusal(str(Settings(dataset=Path("digits")).dataset))


@pytest.mark.parametrize("name", ["a\0.npz", "a\n.npz", "a\udcff.npz"])
def test_names_that_no_table_can_hold_are_refused(name):
    with pytest.raises(SettingsError, match="text in UTF-8 without control characters"):
        Settings(dataset=name)
    assert Settings(dataset="Screenshot 12.30\u202fPM.npz").dataset
