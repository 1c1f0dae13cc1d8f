"""A sweep whose likelihood learns its scale: the table, its other units, and the kept models."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from measured_like import HEALTHY

import ratedistortion as rd
from ratedistortion.errors import SettingsError
from ratedistortion.measuring.consistency import Facts, contradictions
from ratedistortion.models.autoencoder import Autoencoder

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


@pytest.mark.parametrize("select, error", [("last", 20 / 50 * 100), ("best", 400)])
def test_the_scale_is_of_all_training_images_or_of_those_held_out(tmp_path, select, error):
    """The last 20 of 50 training images are no batch of 30; almost nothing is described."""
    x = RANDOM.normal(size=(70, 6)).astype(np.float32)
    x *= np.repeat([0.1, 10.0, 20.0], [30, 20, 20])[:, None].astype(np.float32)
    values = SETTINGS | {"select": select, "batch_size": 30, "betas": (50.0,), "steps": 3}
    data = {"train": x[:50], "test": x[:20], "validation": x[50:]}
    settings = rd.Settings(dataset=data, scale="none", **values)
    table = rd.sweep(settings, tmp_path / "run", progress=False)
    assert table["likelihood_scale"][0] ** 2 == pytest.approx(error, rel=0.3)


def test_a_kept_model_has_its_scale(swept):
    path, table = swept[100.0]
    row = table[(table["split"] == "test") & (table["beta"] == 1.5)].iloc[0]
    model = rd.load(path, beta=1.5)
    x = 100 * VECTORS[300:]
    assert model.parameters["likelihood_scale"] == pytest.approx(row["likelihood_scale"])
    assert model.negative_elbo(x).mean() == pytest.approx(row["negative_elbo"], abs=1e-3)
    z = model.draw(x)
    error = ((model.decode(z) - x) / row["likelihood_scale"]) ** 2
    density = -0.5 * error.sum(1) - 6 * math.log(row["likelihood_scale"] * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(model.log_likelihood(x, z), density, rtol=1e-4, atol=1e-3)


def test_a_scale_without_an_optimum_is_refused(tmp_path):
    settings = rd.Settings(dataset="gaussian:4,1,0.25", **SETTINGS | {"latents": None})
    with pytest.raises(SettingsError, match="3 latents can .* at most 1: got 0.1;"):
        rd.sweep(settings, tmp_path / "run", progress=False)


def test_other_likelihoods_have_no_scale():
    with pytest.raises(
        SettingsError, match="learned is for the gaussian likelihood: got bernoulli"
    ):
        rd.Settings(likelihood_scale="learned")
    with pytest.raises(SettingsError, match="must be learned or a number: got 'wide'"):
        rd.Settings(likelihood="gaussian", likelihood_scale="wide")


def test_a_scale_of_another_unit_at_its_least_is_known_as_such():
    """The least is a number of float32, as scales are."""
    for spread in np.random.default_rng(0).uniform(0.1, 9, (20, 6)).astype(np.float32):
        autoencoder = Autoencoder(rd.Settings(dataset="made", **SETTINGS), (6,), spread)
        model = autoencoder.build(jax.random.key(0))
        found = autoencoder.with_best_likelihood_scale(model, jnp.float32(0)).likelihood_scale
        facts = Facts(9, 9, 9, 4, None, 0.0, False, False, 6, autoencoder.least_likelihood_scale)
        measured = HEALTHY._replace(likelihood_scale=np.float64(found))
        assert any("scale at its least" in text for text in contradictions(measured, facts))
