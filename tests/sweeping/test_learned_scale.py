"""A sweep whose likelihood learns its scale: the table, its other units, and the kept models."""

import math

import numpy as np
import pytest

import ratedistortion as rd
from ratedistortion.errors import SettingsError
from ratedistortion.table import parquet

RANDOM = np.random.default_rng(0)
VECTORS = (RANDOM.normal(size=(400, 3)) @ RANDOM.normal(size=(3, 6))).astype(np.float32)
VECTORS += 0.1 * RANDOM.normal(size=VECTORS.shape).astype(np.float32)
SETTINGS = {
    "betas": (0.1, 1.5),
    "latents": 4,
    "likelihood": "gaussian",
    "likelihood_scale": "learned",
    "hidden": (8,),
    "steps": 40,
    "batch_size": 20,
    "codes": 100,
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The same vectors in two units."""
    found = {}
    for factor in (1.0, 100.0):
        data = {"train": factor * VECTORS[:300], "test": factor * VECTORS[300:]}
        path = tmp_path_factory.mktemp("swept") / f"{factor:g}"
        found[factor] = path, rd.sweep(rd.Settings(dataset=data, **SETTINGS), path, progress=False)
    return found


def test_the_scale_is_that_of_the_error_of_the_training_images(swept):
    table = swept[1.0][1]
    train = table[table["split"] == "train"]
    assert (table["status"] == "ok").all()
    assert (table.groupby("beta")["likelihood_scale"].nunique() == 1).all()
    # The column distortion_mse rests on other codes.
    np.testing.assert_allclose(train["distortion_mse"], train["likelihood_scale"] ** 2, rtol=0.1)
    low, high = train.sort_values("beta")["likelihood_scale"]
    assert low < high


def test_another_unit_of_the_data_moves_d_and_the_scale_alone(swept):
    one, other = (swept[factor][1] for factor in (1.0, 100.0))
    np.testing.assert_allclose(other["likelihood_scale"], 100 * one["likelihood_scale"], rtol=1e-3)
    np.testing.assert_allclose(
        other["distortion"], one["distortion"] + 6 * math.log(100), atol=0.01
    )
    np.testing.assert_allclose(other["rate"], one["rate"], atol=0.01)


def test_a_kept_model_has_its_scale(swept):
    path, table = swept[100.0]
    row = table[(table["split"] == "test") & (table["beta"] == 1.5)].iloc[0]
    model = rd.load(path, beta=1.5)
    x = 100 * VECTORS[300:]
    assert model.parameters["scale"] == pytest.approx(row["likelihood_scale"])
    assert model.negative_elbo(x).mean() == pytest.approx(row["negative_elbo"], abs=1e-3)
    z = model.draw(x)
    error = ((model.decode(z) - x) / row["likelihood_scale"]) ** 2
    density = -0.5 * error.sum(1) - 6 * math.log(row["likelihood_scale"] * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(model.log_likelihood(x, z), density, rtol=1e-4, atol=1e-3)


def test_a_scale_without_an_optimum_is_refused(tmp_path):
    settings = rd.Settings(dataset="gaussian:4,1,0.25", **SETTINGS | {"latents": None})
    with pytest.raises(SettingsError, match="as many latents as x has dimensions, 3, .* got 0.1"):
        rd.sweep(settings, tmp_path / "run", progress=False)


def test_other_likelihoods_have_no_scale():
    with pytest.raises(
        SettingsError, match="learned is for the gaussian likelihood: got bernoulli"
    ):
        rd.Settings(likelihood_scale="learned")
    with pytest.raises(SettingsError, match="must be learned or a number: got 'wide'"):
        rd.Settings(likelihood="gaussian", likelihood_scale="wide")


def test_a_scale_at_its_least_makes_a_row_suspect(tmp_path):
    """Constant vectors: the decoder knows them exactly."""
    data = {"train": np.full((40, 4), 0.5, np.float32), "test": np.full((20, 4), 0.5, np.float32)}
    linear = {"encoder": "linear", "decoder": "linear", "betas": (1.0,), "latents": 2}
    settings = rd.Settings(dataset=data, scale="none", **SETTINGS | linear)
    table = rd.sweep(settings, tmp_path / "run", progress=False)
    assert (table["status"] == "suspect").all()
    assert table["failed_checks"].str.contains("the likelihood's scale fell to the least").all()
    assert parquet.read(tmp_path / "run" / "rd.parquet")["likelihood_scale"].gt(0).all()
