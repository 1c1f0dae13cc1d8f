"""rd-sweep as its users meet it: what it prints and stores, and finished directories."""

import json
import math
import shutil
import sys

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from commands import BETAS, SMALL, STEPS, SWEEP, check_error, rd_plot, rd_sweep, run, tree

import ratedistortion
from ratedistortion import datasets
from ratedistortion.cli.results import results
from ratedistortion.run_directory import reading
from ratedistortion.table import NATS_COLUMNS

SUMMARY = (
    "run_dir runs ok diverged suspect seconds compile_seconds train_seconds measure_seconds"
    " model_steps_per_second data device batching table"
).split()
# These names in this order; more may follow.
COLUMNS = (
    "dataset split beta seed encoder decoder prior likelihood latents dimensions examples steps"
    " status diverged_at_step rate rate_se distortion distortion_se negative_elbo negative_elbo_se"
    " mutual_information mutual_information_se mutual_information_lower mutual_information_upper"
    " log_examples saturated marginal_kl marginal_kl_se marginal_kl_gaussian identity_residual"
    " population_information_upper active_units"
).split()


def test_json_is_one_object_with_its_keys_in_order(undisturbed):
    path, result = undisturbed
    assert result.exit_code == 0, result.stderr
    (line,) = result.stdout.splitlines()
    summary = json.loads(line)
    assert list(summary) == SUMMARY
    assert summary["run_dir"] == str(path) and summary["table"] == str(path / "rd.parquet")
    assert (summary["runs"], summary["ok"], summary["diverged"]) == (4, 4, 0)
    assert summary["batching"] in ("map", "vmap") and summary["device"]
    parts = [summary[f"{name}_seconds"] for name in ("compile", "train", "measure")]
    assert min(parts) > 0 and sum(parts) < summary["seconds"]
    expected = pytest.approx(4 * STEPS / summary["train_seconds"])
    assert summary["model_steps_per_second"] == expected


def test_progress_is_plain_lines_on_stderr_only(undisturbed):
    stderr = undisturbed[1].stderr
    assert f"4 runs of {STEPS} steps, beta 0.05 to 8, in 2 chunks, map on 2 devices" in stderr
    assert "chunk 2 of 2 done" in stderr
    assert "\x1b" not in stderr and "\r" not in stderr
    assert "Warning" not in stderr and "Traceback" not in stderr


def test_the_table_has_its_columns_in_order(undisturbed):
    table = pyarrow.parquet.read_table(undisturbed[0] / "rd.parquet")
    assert table.column_names[: len(COLUMNS)] == COLUMNS
    rows = table.to_pylist()
    identity = [(row["beta"], row["seed"], row["split"]) for row in rows]
    assert identity == [(beta, 0, split) for beta in BETAS for split in ("train", "test")]
    metadata = json.loads(table.schema.metadata[b"ratedistortion"])
    kept = "settings versions device data_sha256 plan convention loss schema_version"
    assert set(kept.split()) <= set(metadata)
    assert metadata["convention"] == "loss = D + beta*R" and metadata["loss"] == "D + beta*R"
    for row in rows:
        assert row["status"] == "ok" and row["diverged_at_step"] is None
        assert row["saturated"] in (True, False) and isinstance(row["active_units"], int)
        assert (row["latents"], row["dimensions"], row["steps"]) == (2, 64, STEPS)
        assert not [name for name, x in row.items() if isinstance(x, float) and math.isnan(x)]


def test_every_row_holds_to_the_bounds(undisturbed):
    """An estimate may miss a bound by 4 of its standard errors."""
    frame = ratedistortion.read(undisturbed[0])
    information = frame["mutual_information"]
    assert ((information >= 0) & (information <= frame["log_examples"])).all()
    assert (frame["identity_residual"].abs() <= 4 * frame["identity_residual_se"]).all()
    slack = 4 * frame["mutual_information_se"]
    lower = frame["mutual_information_lower"] - 4 * frame["mutual_information_lower_se"]
    upper = frame["mutual_information_upper"] + 4 * frame["mutual_information_upper_se"]
    assert (lower <= information + slack).all() and (information <= upper + slack).all()
    assert (information <= frame["rate"] + slack).all()
    marginal_kl = frame["marginal_kl"] + 4 * frame["marginal_kl_se"]
    assert (frame["marginal_kl_gaussian"] <= marginal_kl).all()
    total = frame["rate"] + frame["distortion"]
    np.testing.assert_allclose(frame["negative_elbo"], total, rtol=1e-12)
    # The curve is one: from autoencoder to autodecoder R falls.
    assert (frame.query("split == 'train'")["rate"].diff().dropna() < 0).all()
    assert information.iloc[0] > 1 > information.iloc[-1]


def test_posteriors_give_the_rate_and_the_information_of_their_rows(undisturbed):
    """R in closed form and I(n;z) from all N x N log densities, in NumPy and float64."""
    path = undisturbed[0]
    frame, names = ratedistortion.read(path), ("mean", "scale", "code", "data")
    data = {}
    for row in frame.to_dict("records"):
        name = f"beta={row['beta']},seed=0,split={row['split']}.npz"
        with np.load(path / "posteriors" / name, allow_pickle=False) as arrays:
            prior = {"prior_mean", "prior_scale"}
            assert set(arrays) == {
                "noise",
                "rate",
                "distortion",
                "chosen",
                "likelihood",
                *names,
                *prior,
            }
            stored = dict(arrays)
        assert {stored[k].dtype for k in (*names, "noise")} == {np.dtype(np.float32)}
        assert {stored[k].shape for k in ("mean", "scale", "code")} == {(row["examples"], 2)}
        assert stored["data"].shape == (row["examples"], 64)
        assert set(np.unique(stored["data"])) == {0.0, 1.0}
        first = data.setdefault(row["split"], stored["data"])
        np.testing.assert_array_equal(stored["data"], first)
        mean, scale, code = (stored[k].astype(np.float64) for k in ("mean", "scale", "code"))
        rates = 0.5 * np.sum(mean**2 + scale**2 - 1, axis=1) - np.sum(np.log(scale), axis=1)
        np.testing.assert_allclose(rates.mean(), row["rate"], rtol=1e-5)
        standard = (code[:, None] - mean) / scale
        log_q = -np.sum(0.5 * standard**2 + np.log(scale), axis=2)  # codes, posteriors
        peak = log_q.max(axis=1, keepdims=True)
        q = np.exp(log_q - peak)
        q /= q.sum(axis=1, keepdims=True)
        entropy = -np.sum(q * np.log(np.where(q > 0, q, 1)), axis=1)
        terms = math.log(len(code)) - entropy
        assert len(code) == row["codes"]
        np.testing.assert_allclose(terms.mean(), row["mutual_information"], atol=1e-4)
        # A code is a draw from its own posterior: its squares are 1 within 5 standard errors.
        own = ((code - mean) / scale).ravel()
        assert abs(np.mean(own**2) - 1) < 5 * math.sqrt(2 / len(own))


def test_posteriors_are_in_data_set_order(undisturbed):
    expected = datasets.load(ratedistortion.Settings(max_examples=200))
    for split, images in expected.splits.items():
        name = f"beta=2.0,seed=0,split={split}.npz"
        with np.load(undisturbed[0] / "posteriors" / name) as arrays:
            np.testing.assert_array_equal(arrays["data"], images * np.float32(expected.scale))


def test_the_place_of_a_run_in_the_grid_changes_no_bit(undisturbed, tmp_path):
    result = rd_sweep(tmp_path / "run", *SWEEP, "--betas", "2,0.5", "--quiet", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    numbers = ["beta", "split", *NATS_COLUMNS]
    two, four = (ratedistortion.read(path)[numbers] for path in (tmp_path / "run", undisturbed[0]))
    expected = pandas.concat([four.query("beta == 2"), four.query("beta == 0.5")])
    pandas.testing.assert_frame_equal(two, expected.reset_index(drop=True), check_exact=True)


# A directory that is finished, or another's.


def test_the_same_command_on_a_finished_directory_computes_nothing(undisturbed):
    path, first = undisturbed
    before = tree(path)
    code = (
        "import sys; from ratedistortion.cli.sweep import main\n"
        "for arguments in (sys.argv[1:], [sys.argv[1], '--json']):\n"
        "    main(arguments, standalone_mode=False)\n"
        "print('jax' in sys.modules, file=sys.stderr)"
    )
    result = run(sys.executable, "-c", code, path, *SWEEP, "--json")
    assert (result.returncode, result.stderr) == (0, "False\n")
    for line in result.stdout.splitlines():
        summary = json.loads(line)
        assert list(summary) == SUMMARY
        computed = {name for name in SUMMARY if "second" in name}
        assert {summary[name] for name in computed} == {0}
        kept = [name for name in SUMMARY if name not in computed]
        assert [summary[n] for n in kept] == [json.loads(first.stdout)[n] for n in kept]
    assert tree(path) == before


def test_the_table_is_printed_in_the_units_asked_for(undisturbed):
    path = undisturbed[0]
    rate = ratedistortion.read(path).query("split == 'test'")["rate"].iloc[0]
    for units, text in (("nats", f"{rate:.2f} ±"), ("bits", f"{rate / math.log(2):.2f} ±")):
        result = rd_sweep(path, "--units", units)
        lines = result.stdout.splitlines()
        assert lines[0] == f"test split, {units} per image"
        assert lines[1].split() == ["beta", "seed", "R", "D", "-ELBO", "I(n;z)", "KL(q|p)"]
        assert lines[2].split()[:2] == ["0.05", "0"] and text in lines[2]
        assert len(lines) == 2 + len(BETAS) + 2
        assert lines[-2].startswith("saturated: ")  # what the mark behind a row means
        assert lines[-1] == f"table: {path / 'rd.parquet'}"
        assert result.stderr == ""


def test_another_configuration_is_refused_with_what_differs(undisturbed):
    path = undisturbed[0]
    before = tree(path)
    result = rd_sweep(path, *SMALL, "--steps", "31", "--betas", "1", "--save-posteriors")
    check_error(
        result,
        4,
        f"{path} belongs to another configuration: betas: [0.05, 0.5, 2.0, 8.0] stored, [1.0]"
        " asked for; steps: 1000 stored, 31 asked for. Use another directory, or the stored"
        " values.",
    )
    assert tree(path) == before


def test_how_it_is_computed_is_no_other_configuration(undisturbed):
    result = rd_sweep(undisturbed[0], *SWEEP, "--device", "gpu", "--runs-at-once", "1")
    assert result.exit_code == 0
    # Alone such options are laid over the directory's own settings.
    assert rd_sweep(undisturbed[0], "--device", "gpu").exit_code == 0


# Runs that diverge.


def test_diverged_runs_are_marked_and_exit_3(tmp_path):
    path = tmp_path / "run"
    # A shape that is compiled already.
    result = rd_sweep(path, *SWEEP, "--betas", "1,0.1", "--learning-rate", "1e30", "--json")
    assert result.exit_code == 3
    assert result.stderr.endswith("2 of 2 runs diverged.\n")
    assert "diverged: beta 0.1, seed 0, step 1: D is not finite\n" in result.stderr
    summary = json.loads(result.stdout)
    assert (summary["runs"], summary["ok"], summary["diverged"]) == (2, 0, 2)
    rows = pyarrow.parquet.read_table(path / "rd.parquet").to_pylist()
    assert [row["beta"] for row in rows] == [1.0, 1.0, 0.1, 0.1]  # in the order of the grid
    for row in rows:
        assert (row["status"], row["diverged_at_step"]) == ("diverged", 1)
        assert not [name for name, x in row.items() if isinstance(x, float) and math.isnan(x)]
        missing = [name for name in COLUMNS if row[name] is None]
        assert {"rate", "mutual_information", "saturated", "active_units"} <= set(missing)
        assert row["failed_checks"] == "D is not finite"
    # Finished all the same: nothing is computed again, and the exit code stays.
    again = rd_sweep(path)
    assert again.exit_code == 3 and again.stderr == "2 of 2 runs diverged.\n"
    note = "diverged at step 1: D is not finite"
    assert again.stdout.splitlines()[2].split() == ["1", "0", *"-----", *note.split()]
    # The curve ends where the run did.
    curve, _ = reading.read_losses(path)
    assert curve["steps"] == list(range(5, STEPS + 1, 5))
    for name in ("distortion", "rate"):
        assert curve[name][0] > 0 and set(curve[name][1:]) == {None}


def test_saturated_rows_are_marked_and_explained(undisturbed):
    frame = ratedistortion.read(undisturbed[0])
    frame["saturated"] = [True, True, *[False] * 6]
    *rows, note = results(frame, "nats").splitlines()[2:]
    assert [line.endswith("saturated") for line in rows] == [True, False, False, False]
    assert note.startswith(f"saturated: I(n;z) is near its ceiling log N = {math.log(200):.2f}, so")


def test_target_rates_are_shown_beside_what_was_reached(undisturbed):
    """Missed: by more than .05 nats, a tenth and three errors; in the units that are printed."""
    frame = ratedistortion.read(undisturbed[0])[lambda f: f["split"] == "test"]
    frame = frame.assign(rate=[0.04, 2.2, 9.0, 0.5], rate_se=[0.0, 0.1, 0.1, 0.0], saturated=False)
    assert "target" not in results(frame, "nats")
    frame["target_rate"] = [0.0, 2.0, 10.5, 0.0]
    header, *lines = results(frame, "bits").splitlines()[1:]
    assert header.split()[:2] == ["target", "beta"]
    assert [line.split()[0] for line in lines] == ["0.00", "2.89", "15.15", "0.00"]
    assert [line.endswith("target missed") for line in lines] == [False, False, True, True]
    frame["saturated"] = True
    assert results(frame, "nats").splitlines()[-2].endswith("  target missed, saturated")


def test_the_data_are_drawn_before_there_is_a_table(tmp_path, undisturbed):
    path = tmp_path / "run"
    shutil.copytree(undisturbed[0], path)
    (path / "rd.parquet").unlink()
    result = rd_plot(path, "--kind", "data")
    assert (result.exit_code, result.stdout) == (0, f"{path}/data.png\n"), result.stderr
    assert (path / "data.png").read_bytes().startswith(b"\x89PNG")
    (path / "data.npz").write_bytes(b"damaged")
    check_error(rd_plot(path, "--kind", "data"), 4, "data.npz: it is damaged")
    check_error(rd_plot(tmp_path, "--kind", "data"), 2, "not a run directory")
    check_error(rd_plot(path, path, "--kind", "data", "-o", tmp_path / "a.png"), 2, "one run")


def test_the_data_line_is_in_the_log_the_manifest_and_the_table(undisturbed):
    path, result = undisturbed
    line = result.stderr.splitlines()[0]
    assert line.startswith("digits: 200 + 200 images of 8 × 8 × 1")
    assert json.loads((path / "manifest.json").read_text())["data"] == line
    assert json.loads((path / "log.jsonl").read_text().splitlines()[0])["text"] == line
    assert ratedistortion.read(path).attrs["ratedistortion"]["data"] == line
    assert json.loads(result.stdout)["data"] == line
