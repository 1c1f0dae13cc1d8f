"""A grid that grows: more betas, target rates and seeds in a directory that exists."""

import dataclasses
import signal
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import signalled_sweep
from commands import check_error, rd_sweep, run, tree
from resealing import unsealed
from tiny_engine import settings_of

import ratedistortion as rd
from ratedistortion import events
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.plan import Plan, RunId
from ratedistortion.errors import SettingsError, Stopped
from ratedistortion.settings import Settings, extended
from ratedistortion.sweeping.manifest import Manifest

# What is asked for.


@pytest.mark.parametrize(
    "stored, asked, expected",
    [
        ((0.1, 1.0), (0.5,), (0.1, 0.5, 1.0)),
        ((0.1, 1.0), (2.0, 0.01), (0.01, 0.1, 1.0, 2.0)),
        ((1.0, 0.1), (0.5, 2.0), (2.0, 1.0, 0.5, 0.1)),
        ((0.5, 2.0, 1.0), (0.1, 2.0, 3.0), (0.5, 2.0, 1.0, 0.1, 3.0)),
        ((0.1, 1.0), (1.0, 0.1), (0.1, 1.0)),
        ((1.0,), (3.0, 2.0), (1.0, 2.0, 3.0)),
    ],
)
@pytest.mark.parametrize("name", ["betas", "target_rates"])
def test_a_grid_goes_on_as_it_began(name, stored, asked, expected):
    before, after = (Settings(**{name: grid}) for grid in (stored, asked))
    assert extended(before, after) == Settings(**{name: expected})


@pytest.mark.parametrize(
    "stored, asked, expected",
    [(2, 5, 5), (5, 2, 5), (5, "5:10", 10), ("5:10", 5, 10), ("5:7", "6:9", "5:9"), (2, "1:2", 2)],
)
def test_seeds_follow_one_another(stored, asked, expected):
    whole = extended(Settings(seeds=stored), Settings(seeds=asked))
    assert whole == Settings(seeds=expected)


@pytest.mark.parametrize("stored, asked", [(2, "5:10"), ("5:10", 2)])
def test_a_gap_between_seeds_is_refused(stored, asked):
    with pytest.raises(SettingsError, match="^extend: seeds must follow one another: 2:5 would"):
        extended(Settings(seeds=stored), Settings(seeds=asked))


def test_betas_and_target_rates_are_not_mixed():
    betas, targets = Settings(betas=(1.0,)), Settings(target_rates=(1.0,))
    with pytest.raises(SettingsError, match="^extend: the run directory has betas: extend these"):
        extended(betas, targets)
    with pytest.raises(SettingsError, match="^extend: the run directory has target_rates"):
        extended(targets, betas)


# What is computed.

SMALL = "--max-examples 200 --hidden 8 --latents 2 --steps 40 --codes 100 --quiet".split()
WHOLE = (*SMALL, "--betas", "0.1,0.5,1,2", "--seeds", "3")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("grids") / "whole"
    result = rd_sweep(path, *WHOLE)
    assert result.exit_code == 0, result.stderr
    return path


def killed_at(event, count, *arguments):
    killed = run(sys.executable, signalled_sweep.__file__, "SIGKILL", event, count, *arguments)
    assert killed.returncode == -signal.SIGKILL, killed.stderr


@pytest.mark.slow
def test_a_grid_extended_twice_and_killed_in_between_is_the_whole_grid_bit_for_bit(whole, tmp_path):
    path = tmp_path / "run"
    assert rd_sweep(path, *SMALL, "--betas", "0.1,1", "--seeds", "2").exit_code == 0
    first = tree(path / "chunks")
    killed_at("Trained", 3, path, "--betas", "0.5", "--extend", "--quiet")
    assert not (path / "rd.parquet").exists()
    assert unsealed(path / "manifest.json")["settings"]["betas"] == [0.1, 0.5, 1.0]
    assert rd_sweep(path, "--quiet").exit_code == 0  # the directory knows what it was extended to
    assert rd.read(path)["beta"].unique().tolist() == [0.1, 0.5, 1.0]
    more = ("--betas", "2", "--seeds", "0:3", "--extend", "--quiet")
    killed_at("Measured", 3, path, *more)
    assert (path / "chunks" / "0002" / "rows").exists()
    assert rd_sweep(path, *more).exit_code == 0

    found, expected = rd.read(path), rd.read(whole)
    pandas.testing.assert_frame_equal(found, expected, check_exact=True)
    with np.load(path / "images.npz") as images, np.load(whole / "images.npz") as others:
        assert images.files == others.files
        for name in images.files:
            np.testing.assert_array_equal(images[name], others[name])
    assert len(found.attrs["ratedistortion"]["plans"]) == 3
    after = tree(path / "chunks")
    assert {name: after[name] for name in first if name.is_file()} == {
        name: content for name, content in first.items() if name.is_file()
    }
    # A table that was lost is made again, and the whole grid is what the directory has.
    table = (path / "rd.parquet").read_bytes()
    (path / "rd.parquet").unlink()
    assert rd_sweep(path, *WHOLE).exit_code == 0
    assert (path / "rd.parquet").read_bytes() == table


@pytest.mark.slow
def test_what_is_there_already_is_not_computed_again(whole):
    before = tree(whole)
    result = rd_sweep(whole, "--betas", "0.5", "--seeds", "1:2", "--extend", "--quiet", "--json")
    assert result.exit_code == 0 and '"train_seconds": 0.0' in result.stdout
    assert tree(whole) == before


@pytest.mark.slow
def test_nothing_but_the_grid_is_extended(whole):
    before = tree(whole)
    for more in (("--steps", "41"), ("--steps", "41", "--betas", "7"), ("--latents", "3")):
        result = rd_sweep(whole, *more, "--extend")
        check_error(result, 4, "belongs to another configuration", f"{more[0][2:]}: ")
    check_error(rd_sweep(whole, "--betas", "7"), 4, "betas: [0.1, 0.5, 1.0, 2.0] stored, [7.0]")
    check_error(rd_sweep(whole, "--seeds", "5:7", "--extend"), 2, "3:5 would be missing")
    assert tree(whole) == before
    result = rd_sweep(whole, "--betas", "7", "--extend", "--dry-run", "--quiet")
    assert result.exit_code == 0 and tree(whole) == before, result.stderr


# What a stop keeps.


@pytest.mark.slow
def test_rows_that_are_measured_survive_a_stop(tmp_path, monkeypatch):
    settings = settings_of(betas=(0.1, 0.5, 1.0, 2.0), save_posteriors=True)
    rd.sweep(settings, tmp_path / "whole", progress=False)
    seen: list[events.Event] = []

    def measured() -> list[int]:
        return [event.rows for event in seen if isinstance(event, events.Measured)]

    def stop_signal() -> str | None:
        return "SIGTERM" if measured()[-1:] == [2] else None

    path = tmp_path / "run"
    with pytest.raises(Stopped):
        rd.sweep(settings, path, seen.append, stop_signal, progress=False)
    kept = unsealed(path / "chunks" / "0000" / "rows")["rows"]
    assert len(kept) == 2 and measured() == [1, 2]
    seen.clear()
    again, measure = [], Engine.measure

    def noted(self, *arguments):
        for one in measure(self, *arguments):
            again.append((one.run.beta, one.split))
            yield one

    monkeypatch.setattr(Engine, "measure", noted)
    rd.sweep(settings, path, seen.append, progress=False)
    assert len(again) == 6 and not {(row["beta"], row["split"]) for row in kept} & set(again)
    assert measured() == [3, 4, 5, 6, 7, 8]
    for name in ("rd.parquet", "images.npz"):
        assert (path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def manifest_of(data_sha256="0", **values) -> Manifest:
    settings, runs = settings_of(**values), [RunId(0.5, 0, None)]
    kept = {"schema": 4, "data_sha256": data_sha256, "parts": [], "settings": settings.as_json()}
    return Manifest(Path("run"), kept, settings).with_part(runs, Plan("map", 1, 1, 1))


def test_files_belong_to_what_decides_their_numbers():
    (mine,) = manifest_of().parts()
    for change in ({"learning_rate": 0.02}, {"steps": 23}, {"codes": 90}, {"decoder": "mlp"}):
        assert manifest_of(**change).parts()[0].sweep_id != mine.sweep_id, change
    assert manifest_of("1").parts()[0].sweep_id != mine.sweep_id
    # Where it is done, and which other runs there are, changes no number.
    for change in ({"betas": (0.5, 7.0)}, {"seeds": 4}, {"device": "cpu"}):
        assert manifest_of(**change).parts()[0].sweep_id == mine.sweep_id, change


def test_settings_that_agree_in_other_words_stay_as_they_are_stored():
    """`binarize` left to the data, and typed as what the data made of it, are the same."""
    stored = manifest_of(dataset="mnist", binarize=None)
    typed = dataclasses.replace(stored.settings, binarize="dynamic", betas=(0.5, 7.0))
    grown = stored.with_grid(typed)
    assert grown.settings.binarize is None and grown.settings.betas == (0.5, 7.0)
    assert grown.parts()[0].sweep_id == stored.parts()[0].sweep_id
