"""What Python programs call: ratedistortion.sweep, read and figure, as documented."""

import numpy
import pandas
import pandas.testing
import pytest
from matplotlib.figure import Figure

import ratedistortion
from ratedistortion import Settings, api, events
from ratedistortion.errors import (
    Interrupted,
    RateDistortionError,
    RunDirectoryError,
    SettingsError,
    Stopped,
)

SETTINGS = Settings(
    dataset="images.npy",  # in the working directory
    hidden=(8,),
    latents=2,
    steps=1000,
    learning_rate=0.01,
    betas=(0.1, 2.0),
    runs_at_once=2,
)


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory):
    """The file of the data set; all tests run in its folder."""
    folder = tmp_path_factory.mktemp("data")
    images = numpy.random.default_rng(0).integers(0, 2, (240, 8, 8), dtype=numpy.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        numpy.save("images.npy", images)
        yield folder / "images.npy"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A run directory, the table that `sweep` returned, and the events that it reported."""
    path, reported = tmp_path_factory.mktemp("api") / "run", []
    frame = ratedistortion.sweep(SETTINGS, str(path), reported.append)
    return path, frame, reported


def test_sweep_returns_the_table(swept):
    path, frame, _ = swept
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame[["beta", "seed", "split"]].itertuples(index=False, name=None)) == [
        (beta, 0, split) for beta in (0.1, 2.0) for split in ("train", "test")
    ]
    assert frame.attrs["ratedistortion"]["settings"] == SETTINGS.as_json()
    summary = frame.attrs["summary"]
    assert summary["run_dir"] == str(path) and summary["runs"] == summary["ok"] == 2


def test_sweep_reports_what_happens(swept):
    _, _, reported = swept
    kinds = [type(event) for event in reported]
    assert kinds[:3] == [events.DataRead, events.Compiling, events.Planned] and kinds[-2:] == [
        events.ChunkDone,
        events.Finished,
    ]
    assert kinds.count(events.Measured) == 4 and kinds.count(events.Loss) == 2
    steps = [event.steps for event in reported if isinstance(event, events.Trained)]
    assert steps[0] == 0 and steps[-1] == 1000 and steps == sorted(steps)


def test_read_gives_the_same_table(swept):
    path, frame, _ = swept
    for source in (path, str(path), path / "rd.parquet"):
        pandas.testing.assert_frame_equal(ratedistortion.read(source), frame, check_exact=True)


def test_a_finished_sweep_is_not_computed_again(swept, monkeypatch):
    path, frame, _ = swept
    monkeypatch.setattr("ratedistortion.datasets.load", None)  # nor are the data read
    for settings in (SETTINGS, None):
        reported = []
        again = ratedistortion.sweep(settings, path, reported.append)
        pandas.testing.assert_frame_equal(again, frame, check_exact=True)
        assert reported == [] and again.attrs["summary"]["train_seconds"] == 0


def test_a_finished_sweep_is_read_while_another_process_would_hold_it(swept):
    from ratedistortion.run_directory.directory import RunDirectory

    with RunDirectory(swept[0]):
        assert len(ratedistortion.sweep(SETTINGS, swept[0])) == 4


def test_other_settings_are_refused(swept):
    other = Settings(**(SETTINGS.__dict__ | {"latents": 3}))
    for call in (ratedistortion.sweep, api.dry_run):
        with pytest.raises(RunDirectoryError, match="latents: 2 stored, 3 asked for"):
            call(other, swept[0])


def test_a_stop_is_an_exception_and_the_next_call_continues(swept, tmp_path):
    asked = iter([None] * 8 + ["SIGINT"])
    with pytest.raises(Interrupted) as caught:
        ratedistortion.sweep(SETTINGS, tmp_path / "run", stop_signal=lambda: next(asked))
    assert isinstance(caught.value, Stopped) and caught.value.exit_code == 130
    with pytest.raises(RunDirectoryError, match="not finished"):
        ratedistortion.read(tmp_path / "run")
    reported = []
    frame = ratedistortion.sweep(None, tmp_path / "run", reported.append)
    first = next(event for event in reported if isinstance(event, events.Trained))
    assert 0 < first.steps < 1000
    pandas.testing.assert_frame_equal(frame, swept[1], check_exact=True)


def test_a_failure_leaves_nothing(tmp_path):
    for settings in (
        Settings(dataset="digits", binarize="none"),
        Settings(dataset=str(tmp_path / "none.npz")),
        Settings(encoder="cnn"),
    ):
        with pytest.raises(RateDistortionError):
            ratedistortion.sweep(settings, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_table_cannot_be_read(tmp_path):
    (tmp_path / "a.parquet").write_text("beta,rate\n")
    for path in (tmp_path, tmp_path / "a.parquet", tmp_path / "none"):
        with pytest.raises(SettingsError):
            ratedistortion.read(path)


def test_a_dry_run_needs_no_directory(tmp_path):
    plan = api.dry_run(SETTINGS, tmp_path / "run")
    assert (plan["runs"], plan["chunks"], plan["steps"]) == (2, 1, 1000)
    assert list(tmp_path.iterdir()) == []


def test_figures_are_drawn_from_tables(swept):
    path, frame, _ = swept
    for tables in (frame, {"mine": ratedistortion.read(path), "yours": frame}):
        drawn = ratedistortion.figure(tables, kind="rate-distortion", units="bits")
        assert isinstance(drawn, Figure)


def test_the_table_of_other_data_is_not_shown(swept, data, tmp_path):
    path, frame, _ = swept
    data.rename(tmp_path / "kept")
    for asked in (SETTINGS, None):
        reported = []
        again = ratedistortion.sweep(asked, path, reported.append)
        pandas.testing.assert_frame_equal(again, frame, check_exact=True)
        (event,) = reported
        assert isinstance(event, events.Warned) and "images.npy is not there" in event.text
    numpy.save(data, numpy.eye(240, 64, dtype=numpy.uint8))
    for asked in (SETTINGS, None):
        with pytest.raises(RunDirectoryError, match="images.npy has changed since this sweep"):
            ratedistortion.sweep(asked, path)
    assert len(ratedistortion.read(path)) == 4
    (tmp_path / "kept").rename(data)
    reported = []
    again = ratedistortion.sweep(None, path, reported.append)
    pandas.testing.assert_frame_equal(again, frame, check_exact=True)
    assert reported == []
