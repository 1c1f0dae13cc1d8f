"""What was exported and cannot be right: one line that says which image, or a suspect row."""

import io
import pickle
import re

import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from commands import check_error, check_message, rd_measure, rd_plot
from foreign_arrays import TorchBfloat16
from scipy import stats

import ratedistortion as rd
from ratedistortion.errors import SettingsError

COUNT, LATENTS = 200, 3


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def gaussians(**changed):
    mean, noise = normals(COUNT, LATENTS), normals(COUNT, LATENTS, seed=1)
    scale = np.exp(normals(COUNT, LATENTS, seed=2) / 2 - 1)
    arrays = {"mean": mean, "scale": scale, "code": mean + scale * noise, "prior": "standard"}
    return {name: array for name, array in (arrays | changed).items() if array is not None}


def matrix(**changed):
    arrays = {"log_q": normals(10, 6), "own": np.arange(10) % 6, "log_prior": normals(10)}
    return arrays | changed


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def at(array, place, value):
    array = array.copy()
    array[place] = value
    return array


GOOD = gaussians()
REFUSED = [
    (gaussians(scale=at(GOOD["scale"], (7, 1), 0.0)), "image 7 (from 0) must be above 0: got 0"),
    (gaussians(scale=at(GOOD["scale"], (7, 1), -0.5)), "scale of image 7 (from 0) must be above 0"),
    (gaussians(scale=at(GOOD["scale"], (9, 0), np.nan)), "image 9 (from 0) must be finite: got"),
    (gaussians(mean=at(GOOD["mean"], (3, 0), np.inf)), "image 3 (from 0) must be finite: got inf"),
    (
        gaussians(scale=None, log_var=at(normals(COUNT, LATENTS), (5, 2), 2000.0)),
        "log_var of image 5 (from 0) must be the log of a finite number: got 2000",
    ),
    (
        gaussians(scale=GOOD["scale"][:, :2]),
        "scale must be numbers of shape 200 x 3: got 200 x 2 of float64",
    ),
    (
        gaussians(code=GOOD["code"][1:]),
        "code must be numbers of shape 200 x 3: got 199 x 3 of float64",
    ),
    (
        gaussians(mean=np.full((COUNT, LATENTS), "x")),
        "mean must be numbers of shape any x any: got 200 x 3 of <U1",
    ),
    (
        gaussians(distortion=np.ones(COUNT - 1)),
        "distortion must be numbers of shape 200: got 199 of float64",
    ),
    (
        gaussians(likelihood="bernoulli", likelihood_scale=0.5),
        "likelihood_scale is of the gaussian likelihood: got likelihood bernoulli",
    ),
    (gaussians(log_scale=GOOD["scale"]), "expected mean and one of scale, log_scale, var, log_var"),
    (gaussians(scale=None), "cholesky, or log_q and own: got code, mean, prior"),
    (gaussians(prior=None), "expected one of prior standard (--prior standard), prior_mean"),
    (gaussians(prior="vamp"), "prior must be standard, or arrays must say it: got 'vamp'"),
    (gaussians(prior_mean=np.zeros(3)), "log_prior of every code: got prior_mean, prior"),
    (gaussians(prior=None, prior_mean=np.zeros(3)), "prior_mean needs prior_scale"),
    (
        gaussians(prior=None, code=None, log_prior=np.zeros(COUNT)),
        "log_prior is of codes: give code, noise or both",
    ),
    (
        gaussians(
            prior=None, prior_mean=np.zeros((2, 3)), prior_scale=np.ones((2, 3)),
            prior_weights=[0.5, 0.6],
        ),
        "prior_weights must sum to 1: got 1.1",
    ),
    (gaussians(chosen=[0, 0]), "chosen has an image twice"),
    (gaussians(chosen=[0, COUNT]), "must be one of the images 0 to 199: got 200"),
    (gaussians(split="dev"), "split must be train or test: got 'dev'"),
    (gaussians(beta=-1), "beta must be a number of at least 0, below 2^53: got '-1'"),
    (gaussians(reconstruction=np.ones((COUNT, 4))), "reconstruction needs data and likelihood"),
    (
        gaussians(
            data=np.full((COUNT, 4), 0.5), reconstruction=np.full((COUNT, 4), 0.5),
            likelihood="bernoulli",
        ),
        "data of image 0 (from 0) must be 0 or 1 for bernoulli: got 0.5",
    ),
    (
        gaussians(
            data=np.ones((COUNT, 4)), reconstruction=np.zeros((COUNT, 4)), likelihood="bernoulli"
        ),
        "distortion of image 0 (from 0) must be finite: got inf",
    ),
    (matrix(own=np.arange(10)), "own of number 6 (from 0) must be one of the images 0 to 5: got 6"),
    (matrix(own=np.arange(9) % 6), "own must have one image for each of 10 codes: got 9"),
    (
        matrix(log_q=at(normals(10, 6), (8, 2), -np.inf)),
        "log_q of code 8 under its own image 2 must be finite: got -inf",
    ),
    (matrix(log_q=np.zeros((10, 6), int)), "log_q must be a matrix of log densities"),
    ({"log_q": normals(4, 4), "own": np.arange(4)}, "log_prior of every code: got none of them"),
    ({"log_q": normals(4, 4), "own": np.arange(4), "prior": "standard"}, "log_q needs log_prior"),
    ({}, "got nothing"),
    (matrix(mean=normals(6, 2)), "give either log_q or mean, not both"),
    (gaussians(prior_scale=np.ones(3)), "prior_scale needs prior_mean, and no other prior"),
    (gaussians(prior_weights=[0.5, 0.5]), "prior_weights needs prior_mean"),
    (gaussians(distorsion=np.ones(COUNT)), "distorsion is not a known name"),
    (gaussians(dimensions=0), "dimensions must be a whole number of at least 1: got 0"),
    (gaussians(dimensions=2.5), "dimensions must be a whole number of at least 1: got 2.5"),
    (gaussians(seed=2**63), "seed must be a number of at least 0, below 2^53"),
    (
        matrix(log_q=at(normals(10, 6), (7, 4), np.nan)),
        "log_q of code 7 under image 4 (from 0) must be a number or -inf: got nan",
    ),
    (
        matrix(log_q=at(normals(10, 6), (7, 4), np.inf)),
        "log_q of code 7 under image 4 (from 0) must be a number or -inf: got inf",
    ),
    (
        gaussians(mean=[[1.0, 2.0], [3.0]]),
        "measure: mean must be an array that NumPy takes: got parts of different shapes.",
    ),
    (
        gaussians(scale=TorchBfloat16()),
        "got torch.bfloat16, which NumPy does not know: call .float() of it.",
    ),
    (gaussians(mean=1e155 * GOOD["mean"], code=None), "is infinite: are means and scales right?"),
]  # fmt: skip


@pytest.mark.parametrize("arrays, text", REFUSED)
def test_one_line_says_what_was_expected_and_which_image(arrays, text):
    with pytest.raises(SettingsError, match=re.escape(text)) as caught:
        rd.measure(arrays)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"codes": 0}, {"codes": -1}, {"draw_seed": -1}])
def test_counts_and_seeds_are_whole_numbers(wrong):
    with pytest.raises(SettingsError, match=f"^{next(iter(wrong))} must be a whole number of at"):
        rd.measure(GOOD, **wrong)


def test_narrow_floats_of_jax_are_numbers_and_their_rounding_is_known():
    narrow = {name: jnp.asarray(GOOD[name], jnp.bfloat16) for name in ("mean", "scale")}
    wide = {name: np.asarray(array, np.float64) for name, array in narrow.items()}
    noise = normals(COUNT, LATENTS, seed=1)
    found, expected = (
        rd.measure(**arrays, noise=noise, prior="standard", beta=beta)
        for arrays, beta in ((narrow, jnp.bfloat16(0.5)), (wide, 0.5))
    )
    pandas.testing.assert_frame_equal(found, expected)
    code = jnp.asarray(wide["mean"] + wide["scale"] * noise, jnp.bfloat16)
    (row,) = rd.measure(**narrow, code=code, prior="standard").to_dict("records")
    assert "codes are rounded too much: export noise as well" in row["failed_checks"]
    log_q = normals(10, 6).astype(jnp.bfloat16)
    found, expected = (rd.measure(matrix(log_q=m)) for m in (log_q, log_q.astype(float)))
    pandas.testing.assert_frame_equal(found, expected)


SUSPECT = [
    (gaussians(code=at(GOOD["code"], (7, 0), 40.0)), "that of image 7 is "),
    (gaussians(code=GOOD["mean"]), r"the mean of \(code - mean\)\^2 / scale\^2 is 0, not 1"),
    (gaussians(scale=GOOD["scale"] ** 2), "variances were given as standard deviations"),
    (gaussians(scale=None, var=GOOD["scale"]), "standard deviations were given as variances"),
    (gaussians(noise=-normals(COUNT, LATENTS, seed=1)), r"code is not mean \+ scale \* noise for"),
    (
        gaussians(
            data=np.tile([0.0, 255.0], (COUNT, 1)),
            reconstruction=np.tile([0.0, 1.0], (COUNT, 1)),
            distortion=None,
            likelihood="gaussian",
            likelihood_scale=1.0,
        ),
        "error of reconstruction, 3.23e.04, is above the variance of data, 1.63e.04: are both",
    ),
    (gaussians(rate=np.full(COUNT, 9.0)), r"rate differs from KL\(q\(z\|x\) \|\| p\(z\)\) by"),
    (
        gaussians(
            scale=1e-9 * GOOD["scale"],
            code=(GOOD["mean"] + 1e-9 * GOOD["scale"]).astype(np.float32),
        ),
        "codes are rounded too much: export noise as well",
    ),
]  # fmt: skip


@pytest.mark.parametrize("arrays, text", SUSPECT)
def test_codes_that_are_not_of_their_posteriors_make_a_suspect_row(arrays, text):
    (row,) = rd.measure(arrays).to_dict("records")
    assert row["status"] == "suspect" and re.search(text, row["failed_checks"])


def test_rows_and_columns_that_were_exchanged_contradict_each_other():
    """Given a code, its own image is n with probability q(n|z): of the right matrix alone."""
    mean = 0.3 * normals(300, 10)
    code = mean + normals(300, 10, seed=1)
    log_q = stats.norm.logpdf(code[:, None], mean[None]).sum(2)
    given = {"own": np.arange(300), "log_prior": stats.norm.logpdf(code).sum(1)}
    found = rd.measure(*({"log_q": m, **given, "beta": n} for n, m in enumerate((log_q, log_q.T))))
    assert found["status"].tolist() == ["ok", "suspect"]
    assert "identity" in found["failed_checks"][1]


def test_rates_of_one_draw_are_compared_by_their_mean_alone():
    given = gaussians(beta=np.float32(0.1))
    rate = stats.norm.logpdf(given["code"], given["mean"], given["scale"]).sum(1)
    rate -= stats.norm.logpdf(given["code"]).sum(1)
    (row,) = rd.measure(given, rate=rate, codes=np.int64(100)).to_dict("records")
    assert row["status"] == "ok" and row["beta"] == pytest.approx(0.1)
    (row,) = rd.measure(given, rate=rate / np.log(2)).to_dict("records")
    assert row["status"] == "suspect" and "rate differs" in row["failed_checks"]


@pytest.mark.parametrize("seed", range(30))
def test_good_exports_are_ok(seed):
    mean, scale = normals(50, 2, seed=seed), np.exp(normals(50, 2, seed=seed + 100))
    code = (mean + scale * normals(50, 2, seed=seed + 200)).astype(np.float32)
    (row,) = rd.measure(mean=mean, scale=scale, code=code, prior="standard").to_dict("records")
    assert row["status"] == "ok", row["failed_checks"]


def test_files_and_folders_and_what_their_names_say(tmp_path):
    table = tmp_path / "t.parquet"
    np.savez(tmp_path / "beta=0.1.npz", **gaussians(beta=np.float32(0.1)))
    np.savez(tmp_path / "beta=2,seed=3.npz", **gaussians())
    np.savez(tmp_path / "beta=0.5,seed=3.npz", **gaussians())
    (tmp_path / "beta=0.5,seed=3.npz").rename(tmp_path / "beta=0.5,seed=3")  # no suffix
    folder = tmp_path / "mine,beta=1"
    folder.mkdir()
    for name, array in gaussians().items():
        np.save(folder / f"{name}.npy", array)
    result = rd_measure(*tmp_path.iterdir(), "-o", table)
    assert result.exit_code == 0 and result.stdout.endswith(f"table: {table}\n"), result.stderr
    found = rd.read(table).sort_values("beta")
    assert found["beta"].round(6).tolist() == [0.1, 0.5, 1, 2]
    assert found["seed"].tolist() == [0, 3, 0, 3]
    assert found["label"].fillna("").tolist() == ["", "", "mine", ""]
    assert rd_measure(folder, "-o", table).exit_code == 0  # a table of its own is written again


def test_what_is_said_twice_or_cannot_be_read_is_one_line(tmp_path):
    np.savez(tmp_path / "beta=1.npz", **gaussians(beta=2.0))
    check_error(rd_measure(tmp_path / "beta=1.npz"), 2, "its name says beta 1, its array 2.0")
    good = tmp_path / "good.npz"
    np.savez(good, **gaussians(beta=2.0))
    np.savez(tmp_path / "vae_beta=1.npz", **gaussians())
    check_error(rd_measure(tmp_path / "vae_beta=1.npz"), 2, "must have a comma before beta=")
    check_error(rd_measure(good, "--beta", "3"), 2, "it says beta 2.0, the option 3.0: leave one")
    check_error(rd_measure(good, good), 2, "have the same label, split, beta, target rate and seed")
    check_error(rd_measure(good, "--units", "bits-per-dim"), 2, "give --dimensions N")
    check_error(rd_measure(tmp_path / "no.npz"), 2, "no.npz: expected an .npz", "No such file")
    (tmp_path / "text.npz").write_text("mean")
    check_error(rd_measure(tmp_path / "text.npz"), 2, "text.npz: expected an .npz, or a folder")
    (tmp_path / "empty").mkdir()
    check_error(rd_measure(tmp_path / "empty"), 2, "it has no .npy")
    np.savez(tmp_path / "bomb.npz", mean=np.array([object()], object))
    check_error(rd_measure(tmp_path / "bomb.npz"), 2, "bomb.npz", f"mean {OBJECTS}")


OBJECTS = "holds Python objects, which are never read: save numbers"


JUNK = "is damaged, or was not written by numpy.save: write it again, or take it out"


@pytest.mark.parametrize(
    "content, text",
    [
        (b"junk", JUNK),
        (b"", JUNK),
        (pickle.dumps([1.0]), JUNK),
        (saved(normals(10, 6))[:-1], JUNK),
        (saved(normals(10, 6))[:40], JUNK),
        (saved(np.array([[None]])), OBJECTS),
    ],
    ids=["text", "empty", "pickle", "cut off", "cut header", "objects"],
)
def test_a_folder_with_a_file_that_is_no_array_is_one_line_which_names_it(tmp_path, content, text):
    for name, array in matrix().items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "log_q.npy").write_bytes(content)
    result = rd_measure(tmp_path)
    expected = f"{tmp_path}: expected an .npz, or a folder with one .npy for each array: "
    check_message(result, 2, f"{expected}log_q.npy {text}.")


def test_arrays_that_are_not_used_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", **gaussians(), z=np.ones(3))
    result = rd_measure(tmp_path / "a.npz", "--seed", "1")
    assert (result.exit_code, result.stderr) == (0, "not used: z\n")


def test_a_table_without_distortions_has_no_curve_of_them(tmp_path):
    np.savez(tmp_path / "a.npz", **gaussians(beta=1.0))
    table = tmp_path / "t.parquet"
    assert rd_measure(tmp_path / "a.npz", "--beta", "1", "-o", table).exit_code == 0
    for arguments in (("-o", tmp_path / "a.png"), ("--summary",)):
        check_error(rd_plot(table, *arguments), 2, "without a distortion: --kind information draws")
    drawn = rd_plot(table, "-o", tmp_path / "a.png", "--kind", "information")
    assert drawn.exit_code == 0, drawn.stderr


def test_no_other_table_is_written_over(tmp_path):
    good = tmp_path / "good.npz"
    np.savez(good, **gaussians())
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    check_error(rd_measure(good, "-o", run), 2, "is a run directory of rd-sweep: choose another")
    check_error(rd_measure(good, "-o", tmp_path / "t.csv"), 2, "t.csv: expected a name that ends")
    (tmp_path / "x.parquet").write_text("mine")
    check_error(rd_measure(good, "-o", tmp_path / "x.parquet"), 2, "x.parquet")
    assert (tmp_path / "x.parquet").read_text() == "mine"


def test_a_suspect_row_ends_with_8_and_its_reason(tmp_path):
    np.savez(tmp_path / "a.npz", **gaussians(scale=GOOD["scale"] ** 2))
    result = rd_measure(tmp_path / "a.npz")
    assert result.exit_code == 8
    assert "Suspect: label a, split test: it seems that variances were given" in result.stderr
