"""What whole sweeps say of runs: target rates in the table and figures, and late divergence."""

import dataclasses

import numpy as np
import pytest
from click.testing import CliRunner

import ratedistortion as rd
from ratedistortion.cli import plot
from ratedistortion.curve.points import points_of
from ratedistortion.run_directory.reading import read_losses
from ratedistortion.table import parquet

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

SETTINGS = rd.Settings(
    binarize="dynamic", encoder="linear", decoder="linear", latents=2, max_examples=200, codes=50,
    steps=1, target_rates=(200.0, 300.0, 0.0), seeds=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Rates out of reach, so that several targets end at the same beta."""
    return tmp_path_factory.mktemp("sweep") / "run"


@pytest.fixture(scope="module")
def frame(directory):
    return rd.sweep(SETTINGS, directory)


def test_targets_that_end_at_one_beta_stay_apart(frame, directory):
    """Each is a run, a point, a loss curve and a row of the gallery."""
    assert frame.attrs["summary"]["runs"] == 6
    reached = frame[frame["target_rate"] > 100].groupby("seed")["beta"].nunique()
    assert (reached == 1).all()
    assert len(read_losses(directory)) == 6
    points = points_of(frame[frame["split"] == "test"])
    assert points.seeds.tolist() == [2, 2, 2] and (np.diff(points.beta) >= 0).all()


def test_the_table_has_the_target_of_every_run(frame, directory):
    assert sorted(set(frame["target_rate"])) == [0.0, 200.0, 300.0]
    stored = parquet.read(directory / "rd.parquet")
    assert stored["target_rate"].tolist() == frame["target_rate"].tolist()


@pytest.mark.parametrize(
    "kind", ["rate-distortion", "information", "gallery", "training", "bounds"]
)
def test_every_figure_is_drawn_of_target_rates(frame, directory, tmp_path, kind):
    arguments = [str(directory), "-o", str(tmp_path / f"{kind}.png"), "--kind", kind]
    assert CliRunner().invoke(plot.main, arguments).exit_code == 0


def test_parameters_that_are_useless_after_the_last_step_are_divergence(tmp_path):
    """With the settings of the sweep above, so that nothing is compiled again."""
    frame = rd.sweep(dataclasses.replace(SETTINGS, learning_rate=1e30), tmp_path / "run")
    # A target of 0 begins with a decoder that ignores the code: its D stays finite.
    far = frame[frame["target_rate"] > 0]
    assert far["status"].tolist() == ["diverged"] * 8
    assert far["diverged_at_step"].tolist() == [1] * 8
    assert frame.attrs["summary"]["diverged"] == 4
