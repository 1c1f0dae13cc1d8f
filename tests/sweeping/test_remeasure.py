"""A finished sweep measured again from the models that it kept."""

import dataclasses
import signal
import sys

import numpy as np
import pandas
import pytest
import signalled_sweep
from commands import check_error, rd_sweep, run, tree
from resealing import unsealed
from tiny_engine import settings_of

import ratedistortion as rd
from ratedistortion.engine.engine import Engine
from ratedistortion.errors import RunDirectoryError, SettingsError
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.run_directory.npz_files import read_posteriors

# The last beta is so large that its runs diverge.
FIRST = settings_of(betas=(0.1, 1.0, 1e30), runs_at_once=2, max_examples=100, codes=60, steps=10)
MORE = dataclasses.replace(FIRST, codes=40, iwae=3, save_posteriors=True)
TYPED = ("--codes", "40", "--iwae", "3", "--save-posteriors", "--remeasure")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A directory that was measured in one way, and its content."""
    path = tmp_path_factory.mktemp("remeasured") / "run"
    rd.sweep(FIRST, path, progress=False)
    return path


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """What the other way of measuring comes to from the beginning."""
    path = tmp_path_factory.mktemp("remeasured") / "wanted"
    rd.sweep(MORE, path, progress=False)
    return path


@pytest.fixture
def path(first, tmp_path):
    """A copy of the first."""
    for file, (_, content) in tree(first).items():
        place = tmp_path / "run" / file.relative_to(first)
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            place.write_bytes(content)
    return tmp_path / "run"


def table(path):
    return (path / "rd.parquet").read_bytes()


def check_measured(path, wanted):
    """All that a sweep with the other settings has, bit for bit, and nothing that is in the way."""
    pandas.testing.assert_frame_equal(rd.read(path), rd.read(wanted), check_exact=True)
    assert table(path) == table(wanted)
    assert not (path / "remeasured").exists()
    names = {file.name for file in (wanted / "posteriors").glob("*beta=[01].*")}
    assert len(names) == 4  # not of the run that diverged: it has no model
    assert {file.name for file in (path / "posteriors").iterdir()} == names
    for name in names:
        found, expected = (read_posteriors(each / "posteriors" / name) for each in (path, wanted))
        for array in expected:
            np.testing.assert_array_equal(found[array], expected[array])
    assert (path / "images.npz").read_bytes() == (wanted / "images.npz").read_bytes()
    assert rd.load(path, 1.0).parameters.keys() == rd.load(wanted, 1.0).parameters.keys()


def forbidden(*_, **__):
    raise AssertionError("a run was trained")


def test_it_is_bit_for_bit_a_sweep_with_these_settings_and_trains_nothing(
    path, wanted, monkeypatch
):
    before, models = table(path), tree(path / "models")
    monkeypatch.setattr(Engine, "train", forbidden)
    found = rd.sweep(MORE, path, progress=False, remeasure=True)
    assert found.attrs["summary"]["train_seconds"] == 0 < found.attrs["summary"]["measure_seconds"]
    assert found["status"].tolist() == ["ok"] * 4 + ["diverged"] * 2
    check_measured(path, wanted)
    assert tree(path / "models") == models and len(models) == 2
    # The same command again has nothing to do, and without it the settings are the new ones.
    after = tree(path)
    rd.sweep(MORE, path, progress=False, remeasure=True)
    rd.sweep(None, path, progress=False)
    assert tree(path) == after
    # Back again, the numbers are those of the beginning; the posteriors stay.
    rd.sweep(FIRST, path, progress=False, remeasure=True)
    assert table(path) == before


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_kill_loses_nothing_and_the_old_numbers_are_read_until_all_are_new(path, wanted, count):
    before = table(path)
    arguments = (path, *TYPED, "--quiet")
    killed = run(sys.executable, signalled_sweep.__file__, "SIGKILL", "Measured", count, *arguments)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert table(path) == before and (path / "remeasured").exists()
    assert rd.load(path)["file"].notna().sum() == 2
    assert rd_sweep(path, "--quiet").exit_code == 3  # finished, as it was; one beta diverged
    again = []
    result = rd.sweep(MORE, path, again.append, progress=False, remeasure=True)
    rows = [event.rows for event in again if type(event).__name__ == "Measured"]
    assert len(rows) == 5 - count and (result["status"] == "ok").sum() == 4
    check_measured(path, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("moves", [0, 2, 4])
@pytest.mark.parametrize("same", [True, False])
def test_a_stop_while_new_results_take_their_places(path, wanted, monkeypatch, moves, same):
    done, move = [], RunDirectory.move

    def stopped(self, source, target):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(target)
        move(self, source, target)

    monkeypatch.setattr(RunDirectory, "move", stopped)
    with pytest.raises(KeyboardInterrupt):
        rd.sweep(MORE, path, progress=False, remeasure=True)
    monkeypatch.undo()
    # The table is not there, and the rows that are read are the new ones, from either place.
    rows = rd.read(path)
    assert rows.attrs["ratedistortion"]["unfinished"] == "2 of 2 chunks"
    new = rd.read(wanted)
    pandas.testing.assert_frame_equal(rows, new, check_exact=True)
    monkeypatch.setattr(Engine, "train", forbidden)
    monkeypatch.setattr(Engine, "measure", forbidden)
    rd.sweep(MORE if same else None, path, progress=False, remeasure=same)
    check_measured(path, wanted)


def test_what_cannot_be_measured_again_is_refused_and_nothing_changes(path, tmp_path):
    before = tree(path)
    for more in (("--steps", "41"), ("--betas", "7")):
        check_error(
            rd_sweep(path, *TYPED, *more), 4, "belongs to another configuration", more[0][2:]
        )
    check_error(rd_sweep(path, *TYPED, "--extend"), 2, "extend and remeasure exclude each other")
    check_error(rd_sweep(tmp_path / "new", *TYPED), 2, "remeasure: there is no sweep yet")
    assert not (tmp_path / "new").exists()
    assert tree(path) == before
    result = rd_sweep(path, *TYPED, "--dry-run", "--quiet")
    assert result.exit_code == 0 and "models_mib" in result.stdout and tree(path) == before
    (path / "rd.parquet").unlink()
    file = path / "chunks" / "0001" / "result"
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(RunDirectoryError, match="the sweep is not finished: run `rd-sweep"):
        rd.sweep(MORE, path, progress=False, remeasure=True)
    file.write_bytes(content)
    model = path / "models" / "beta=0.1,seed=0.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    with pytest.raises(RunDirectoryError, match="its SHA-256 differs"):
        rd.sweep(MORE, path, progress=False, remeasure=True)


def test_optimizer_states_go_and_models_are_kept_only_if_asked_for(tmp_path):
    path = tmp_path / "run"
    few = dataclasses.replace(FIRST, keep_models="none")
    rd.sweep(few, path, progress=False)
    assert {file.name for file in (path / "chunks" / "0000").iterdir()} == {"result"}
    assert not (path / "models").exists()
    assert rd.load(path)["file"].isna().all()
    with pytest.raises(RunDirectoryError, match="no model was kept .--keep-models none"):
        rd.load(path, 1.0)
    with pytest.raises(RunDirectoryError, match="beta=0.1,seed=0 was not kept"):
        rd.sweep(dataclasses.replace(few, codes=40), path, progress=False, remeasure=True)
    # The table is that of a sweep that keeps them, but for this one word.
    owner = unsealed(path / "manifest.json")["parts"][0]["sweep"]
    # An extension may keep what the beginning did not.
    rd.sweep(dataclasses.replace(FIRST, betas=(2.0,)), path, progress=False, extend=True)
    assert unsealed(path / "manifest.json")["parts"][0]["sweep"] == owner
    assert rd.load(path)["file"].notna().tolist() == [False, False, True, False]
    with pytest.raises(SettingsError, match="keep_models must be one of all, none"):
        dataclasses.replace(FIRST, keep_models="best")
