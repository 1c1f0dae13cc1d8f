"""What a model that was kept can do, held against what the sweep itself wrote of it."""

import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from foreign_arrays import TorchBfloat16
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tiny_engine import settings_of

import ratedistortion as rd
from ratedistortion.errors import DatasetError, RunDirectoryError, SettingsError
from ratedistortion.run_directory.model_files import pack, read_model
from ratedistortion.run_directory.npz_files import read_images, read_posteriors

FEW = {"max_examples": 60, "steps": 3, "codes": 60, "betas": (1.0,)}


def posteriors(path, beta, seed, split="test"):
    return read_posteriors(path / "posteriors" / f"beta={beta},seed={seed},split={split}.npz")


@pytest.mark.parametrize("beta, seed", [(0.1, 0), (4.0, 1)])
def test_it_gives_what_the_sweep_measured(swept, beta, seed):
    model, kept = rd.load(swept, beta, seed), posteriors(swept, beta, seed)
    x = kept["data"].reshape(-1, 8, 8, 1)
    assert (model.beta, model.seed, model.target_rate) == (beta, seed, None)
    assert model.shape == (8, 8, 1) and model.latents == 2 and model.data.startswith("digits: ")
    mean, scale = model.encode(x)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(mean, kept["mean"], **close)
    np.testing.assert_allclose(scale, kept["scale"], **close)
    z = model.draw(x, key=seed)
    np.testing.assert_allclose(z, kept["code"], **close)
    np.testing.assert_allclose(model.log_likelihood(x, z), -kept["distortion"], rtol=1e-5)
    found = model.negative_elbo(x, key=seed)
    np.testing.assert_allclose(found, kept["rate"] + kept["distortion"], rtol=1e-5)
    table = rd.read(swept).query(f"beta == {beta} and seed == {seed} and split == 'test'")
    assert found.mean() == pytest.approx(table["negative_elbo"].item(), rel=1e-6)
    assert found.dtype == np.float64 and mean.dtype == np.float32


@pytest.mark.parametrize("n", range(6))
def test_its_pictures_are_those_of_the_gallery(swept, n):
    images = read_images(swept)
    model = rd.load(swept, images["beta"][n].item(), images["seed"][n].item())
    for name, found in (
        ("reconstructions", model.reconstruct(images["originals"], model.seed)),
        ("samples", model.sample(10, model.seed)),
    ):
        np.testing.assert_allclose(found, images[name][n], atol=1e-6, err_msg=name)


def test_many_images_are_computed_in_blocks(swept):
    model = rd.load(swept, 0.1)
    z = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    whole = model.decode(z)
    parts = np.concatenate([model.decode(part) for part in np.split(z, 3)])
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    x = (whole > 0.5)[..., 0]  # the axis of one channel may be left out
    assert model.negative_elbo(x).shape == (600,) and model.sample(251).shape == (251, 8, 8, 1)


def test_the_models_of_a_sweep_share_what_is_compiled(swept, compilations):
    one, other = (rd.load(swept, beta) for beta in (0.1, 4.0))
    one.sample(7), one.decode(np.zeros((7, 2)))
    before = len(compilations)
    other.sample(7), other.decode(np.zeros((7, 2))), one.sample(7, key=3)
    assert len(compilations) == before
    one.sample(8)
    assert len(compilations) > before  # the listener hears


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"encoder": "iaf", "prior": "maf"},
        {"prior": "vamp", "decoder": "pixelcnn", "channels": (2,), "components": 5},
        {"likelihood": "categorical", "levels": 17, "binarize": "none", "select": "best"},
    ],
    ids=lambda values: " ".join(map(str, values.values())),
)
@pytest.mark.usefixtures("compiled_quickly")
def test_every_family_is_loaded(tmp_path, values):
    rd.sweep(settings_of(**FEW, save_posteriors=True, **values), tmp_path / "run", progress=False)
    model, kept = rd.load(tmp_path / "run", 1.0), posteriors(tmp_path / "run", 1.0, 0)
    x = kept["data"].reshape(-1, 8, 8, 1)
    found = model.negative_elbo(x, key=0)
    np.testing.assert_allclose(found, kept["rate"] + kept["distortion"], rtol=1e-4)
    np.testing.assert_allclose(model.draw(x, 0), kept["code"], rtol=1e-3, atol=1e-4)
    images = read_images(tmp_path / "run")
    # Where a draw is as likely as not, rounding decides: nearly all pixels must be equal.
    for name, one in (
        ("samples", model.sample(10, 0)),
        ("reconstructions", model.reconstruct(images["originals"], 0)),
    ):
        assert np.isclose(one, images[name][0], atol=1e-5).mean() > 0.99, name


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_quickly")
def test_vectors_go_in_and_out_in_their_own_units_and_the_data_set_is_not_needed(tmp_path):
    draws = np.random.default_rng(0).normal(size=(300, 3))
    data = (draws @ [[1, 0, 0], [0.5, 20, 0], [0, 0, 0.1]] + [5, -300, 0]).astype(np.float32)
    np.save(tmp_path / "data.npy", data)
    values = FEW | {"max_examples": 250, "binarize": None, "likelihood": "gaussian", "steps": 200}
    settings = settings_of(**values, dataset=str(tmp_path / "data.npy"), save_posteriors=True)
    table = rd.sweep(settings, tmp_path / "run", progress=False)
    (tmp_path / "data.npy").unlink()
    model, kept = rd.load(tmp_path / "run", 1.0), posteriors(tmp_path / "run", 1.0, 0)
    found = model.negative_elbo(kept["data"], key=0)
    np.testing.assert_allclose(found, kept["rate"] + kept["distortion"], rtol=1e-4, atol=1e-3)
    assert found.mean() == pytest.approx(table["negative_elbo"].iloc[1], rel=1e-4)
    again = model.reconstruct(kept["data"])
    assert again.shape == kept["data"].shape
    # The second column has nearly all of the variance, and a code costs little beside it.
    assert np.corrcoef(again[:, 1], kept["data"][:, 1])[0, 1] > 0.99
    assert abs(model.sample(500)[:, 1].mean() + 300) < 5


def test_a_file_says_what_it_is_and_is_read_without_this_package(swept):
    file = swept / "models" / "beta=0.1,seed=0.safetensors"
    parameters = load_file(file)
    assert parameters["decoder.layers.0.kernel"].shape == (2, 8)
    assert parameters["skip.decoder"].shape == (2, 64)
    with safe_open(file, "np") as opened:
        assert list(opened.metadata()) == ["ratedistortion"]
    alone = rd.load(file)
    assert alone.parameters.keys() == parameters.keys() and alone.beta == 0.1
    with pytest.raises(SettingsError, match="is one model: give its run directory"):
        rd.load(file, beta=0.1)


def test_a_damaged_or_foreign_file_is_refused(swept, tmp_path):
    path = shutil.copytree(swept, tmp_path / "run")
    file = path / "models" / "beta=0.1,seed=0.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(RunDirectoryError, match="its SHA-256 differs"):
        rd.load(path, 0.1, 0)
    shutil.copy(path / "models" / "beta=1.0,seed=0.safetensors", file)
    with pytest.raises(RunDirectoryError, match="its SHA-256 differs"):
        rd.load(path, 0.1, 0)
    file.unlink()
    with pytest.raises(RunDirectoryError, match=r"seed=0.safetensors: .*restore it"):
        rd.load(path, 0.1, 0)
    for content in (b"", whole[:100], b"\xff" * 64, whole[:-8]):
        (tmp_path / "part.safetensors").write_bytes(content)
        with pytest.raises(RunDirectoryError, match="part.safetensors: it is damaged"):
            rd.load(tmp_path / "part.safetensors")
    (tmp_path / "alone.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(RunDirectoryError, match="its SHA-256 differs"):
        rd.load(tmp_path / "alone.safetensors")
    parameters = load_file(path / "models" / "beta=1.0,seed=0.safetensors")
    save_file(parameters, tmp_path / "theirs.safetensors")
    with pytest.raises(RunDirectoryError, match="it has no model of a sweep"):
        rd.load(tmp_path / "theirs.safetensors")
    parameters, facts = read_model(path / "models" / "beta=1.0,seed=0.safetensors", None, "")
    parameters["skip.decoder"] = parameters["skip.decoder"][:1]
    (tmp_path / "other.safetensors").write_bytes(pack(parameters, facts))
    with pytest.raises(RunDirectoryError, match=r"skip.decoder: expected float32 \(2, 64\), got"):
        rd.load(tmp_path / "other.safetensors")
    facts = {"ratedistortion": "{}"}
    save_file(parameters, tmp_path / "empty.safetensors", facts)
    with pytest.raises(RunDirectoryError, match="empty.safetensors: it is damaged"):
        rd.load(tmp_path / "empty.safetensors")


def test_bad_input_is_refused_in_one_line(swept):
    model = rd.load(swept, 0.1)
    x, z = np.zeros((3, 8, 8, 1)), np.zeros((3, 2))
    for bad, words in (
        (x[0], r"x must be numbers of shape \(N, 8, 8, 1\): got float64 of shape \(8, 8, 1\)"),
        (x[:0], "got float64 of shape"),
        (x.astype(str), "got <U"),
        (x.tolist() + [[[[0.0]]]], "x must be numbers .*: got parts of different shapes"),
        (TorchBfloat16(), r"x must be numbers .*: got torch.bfloat16, .* call \.float\(\) of it"),
        (x + 0j, "got complex128"),
        (x + np.nan, "first in row 0"),
        (x + 16, "x must lie in 0 to 1, as the model was trained on digits: .* got 16 to 16"),
    ):
        with pytest.raises(DatasetError, match=words):
            model.encode(bad)
    model.encode(x + 0.5)  # grey images have a posterior, but no density
    with pytest.raises(DatasetError, match="multiples of 1/1 for the bernoulli likelihood"):
        model.negative_elbo(x + 0.5)
    with pytest.raises(SettingsError, match=r"z must be numbers of shape \(N, 2\)"):
        model.decode(x)
    with pytest.raises(SettingsError, match="z must be .*: got parts of different shapes"):
        model.decode([[0.0, 1.0], [2.0]])
    with pytest.raises(SettingsError, match="got 3 images, 2 codes"):
        model.log_likelihood(x, z[:2])
    with pytest.raises(SettingsError, match=r"z must be finite: code 1 \(from 0\) is not"):
        model.decode(z + [[0.0], [np.nan], [0.0]])
    for bad in (-1, True, 2**32):
        with pytest.raises(SettingsError, match="key must be"):
            model.sample(3, key=bad)
    with pytest.raises(SettingsError, match="n must be"):
        model.sample(0)


def test_narrow_floats_of_jax_are_numbers(swept):
    model, x = rd.load(swept, 0.1), np.tile(np.eye(8)[..., None], (3, 1, 1, 1))
    z = np.array([[0.5, -1.0], [2.0, 0.25], [0.0, 1.5]])  # exact in bfloat16
    for found, expected in (
        (model.encode(jnp.asarray(x, jnp.bfloat16)), model.encode(x)),
        (model.decode(jnp.asarray(z, jnp.bfloat16)), model.decode(z)),
        (model.log_likelihood(jnp.asarray(x, jnp.bfloat16), z), model.log_likelihood(x, z)),
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(DatasetError, match="first in row 1"):
        model.encode(jnp.asarray(x, jnp.bfloat16).at[1, 0, 0, 0].set(jnp.nan))
