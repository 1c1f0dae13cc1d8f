"""Which model `rd.load` takes, and how it says so."""

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_engine import settings_of

import ratedistortion as rd
from ratedistortion import curve
from ratedistortion.errors import RunDirectoryError, SettingsError

FEW = {"max_examples": 60, "steps": 3, "codes": 60}


def test_the_list_has_every_run_and_its_file(swept):
    runs = rd.load(swept)
    assert runs[["beta", "seed"]].values.tolist() == [
        [beta, seed] for beta in (0.1, 1.0, 4.0) for seed in (0, 1)
    ]
    assert (runs["status"] == "ok").all() and runs["target_rate"].isna().all()
    assert all((swept / file).is_file() for file in runs["file"])
    tests = rd.read(swept).query("split == 'test'")
    np.testing.assert_array_equal(runs["negative_elbo"], tests["negative_elbo"])


@pytest.mark.parametrize(
    "asked, found", [(1, 1.0), (0.0, 0.1), (0.3, 0.1), (0.4, 1.0), (2.1, 4.0), (1e9, 4.0)]
)
def test_the_nearest_beta_is_taken_and_said_where_it_is_another(swept, capsys, asked, found):
    model = rd.load(swept, beta=asked)
    assert (model.beta, model.seed) == (found, 0)
    said = capsys.readouterr()
    assert said.out == ""
    line = f"beta asked for: {asked:g}; nearest model: beta {found:g}, seed 0.\n"
    assert said.err == ("" if asked == found else line)


def test_the_best_elbo_and_the_knee_are_those_of_the_summary(swept, capsys):
    tests = rd.read(swept).query("split == 'test'")
    analysis = curve.analyse(tests)
    best = rd.load(swept, "best-elbo")
    assert (best.beta, best.seed) == (analysis.best.beta, analysis.best.seed)
    assert capsys.readouterr().err == ""
    knee = analysis.regimes.knee
    nearest = min((0.1, 1.0, 4.0), key=lambda beta: abs(np.log(beta / knee)))
    assert rd.load(swept, "knee", seed=1).beta == nearest
    said = f"the knee is at beta {knee:g}; nearest model: beta {nearest:g}, seed 1.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("scalar", [np.float16, np.float32, np.float64, np.array, jnp.float32])
def test_scalars_of_numpy_and_jax_are_numbers(swept, capsys, scalar):
    model = rd.load(swept, beta=scalar(0.1), seed=np.int64(1))
    assert (model.beta, model.seed) == (0.1, 1)
    assert rd.load(swept, beta=scalar(4), seed=jnp.int32(0)).beta == 4
    assert capsys.readouterr().err == ""  # 0.1 in float16 is meant to be 0.1


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"beta": np.ones(1)}, r"beta must be a number of at least 0, .*: got array\(\[1\.\]\)"),
        ({"beta": np.bool_(True)}, "beta must be a number of at least 0, .*: got "),
        ({"beta": np.float32("nan")}, "beta must be a number of at least 0, .*: got "),
        ({"beta": 1.0, "seed": np.array([0, 1])}, "seed must be a number of at least 0: got array"),
        ({"beta": 1.0, "seed": True}, "seed must be a number of at least 0: got "),
        ({"seed": 0}, "either beta or target_rate"),
        ({"beta": 1.0, "target_rate": 1.0}, "either beta or target_rate"),
        ({"beta": 1.0, "seed": 7}, "seed: the run directory has models of seeds 0, 1: got 7"),
        ({"beta": "elbow"}, "beta must be a number of at least 0, knee or best-elbo: got 'elbow'"),
        ({"beta": -1}, "got -1"),
        ({"beta": float("nan")}, "got nan"),
        ({"target_rate": 3.0}, "the sweep was of betas: give beta"),
    ],
)
def test_what_is_not_there_is_refused(swept, asked, words):
    with pytest.raises(SettingsError, match=words):
        rd.load(swept, **asked)


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_quickly")
def test_target_rates_and_runs_that_diverged(tmp_path, capsys):
    settings = settings_of(**FEW, target_rates=(2.0, 5.0))
    rd.sweep(settings, tmp_path / "targets", progress=False)
    runs = rd.load(tmp_path / "targets")
    assert runs["target_rate"].tolist() == [2.0, 5.0]
    assert runs["file"].tolist()[1] == "models/target_rate=5.0,seed=0.safetensors"
    model = rd.load(tmp_path / "targets", target_rate=4)
    assert model.target_rate == 5.0 and model.beta == runs["beta"][1]
    assert (
        "target_rate asked for: 4; nearest model: target_rate 5, seed 0" in capsys.readouterr().err
    )
    assert rd.load(tmp_path / "targets", beta=model.beta).target_rate == 5.0

    rd.sweep(settings_of(**FEW, learning_rate=1e30), tmp_path / "wild", progress=False)
    runs = rd.load(tmp_path / "wild")
    assert (runs["status"] == "diverged").all() and runs["file"].isna().all()
    assert not (tmp_path / "wild" / "models").exists()
    with pytest.raises(RunDirectoryError, match="no model was kept"):
        rd.load(tmp_path / "wild", 1.0)


def test_a_folder_that_is_no_run_directory(tmp_path):
    with pytest.raises(SettingsError, match="not a run directory"):
        rd.load(tmp_path)
