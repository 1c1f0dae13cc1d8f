"""Runs whose numbers contradict each other: said aloud, shown apart, and part of no finding."""

import json

import mnist_like
import numpy as np
import pytest
from commands import check_message, rd_plot, rd_sweep

import ratedistortion
from ratedistortion.settings import Settings
from ratedistortion.table import parquet

ONE = {(1.52, 1)}


def finished_run(path, found):
    """A run directory as a finished sweep leaves it, as far as reading it goes."""
    settings = Settings()
    manifest = {
        "schema": 1, "settings": settings.as_json(), "plan": {}, "versions": {}, "device": "cpu",
        "data_sha256": "0", "data_files": {},
    }  # fmt: skip
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(json.dumps(manifest))
    (path / "rd.parquet").write_bytes(parquet.write(found, {"settings": settings.as_json()}))
    return path


def both_splits(**given):
    return [*mnist_like.rows(split="train"), *mnist_like.rows(**given)]


def test_a_run_is_suspect_if_one_split_is_or_else_diverged_if_one_split_is(tmp_path):
    rows = both_splits(suspect={(1.52, 0), (10.0, 0)})
    rows[-1] |= {"status": "diverged"}  # beta 10, seed 1
    rows[14] |= {"status": "diverged"}  # beta 10, seed 0, train
    path = finished_run(tmp_path / "run", rows)
    summary = ratedistortion.sweep(None, path).attrs["summary"]
    assert list(summary)[1:5] == ["runs", "ok", "diverged", "suspect"]
    assert [summary[name] for name in list(summary)[1:5]] == [16, 13, 1, 2]


def test_a_sweep_with_suspect_runs_says_so_and_exits_8_however_often_it_is_asked(tmp_path):
    path = finished_run(tmp_path / "run", both_splits(suspect=ONE))
    for _ in range(2):
        result = rd_sweep(path)
        assert result.exit_code == 8
        assert result.stderr == (
            "Suspect: 1 of 16 runs: numbers contradict each other: beta 1.52, seed 1, test"
            " (identity; R below 0). Do not use them: see the column failed_checks, and run"
            " `rd-sweep --verify` to check this machine.\n"
        )
    (line,) = (line for line in result.stdout.splitlines() if "  suspect: " in line)
    assert line.split()[:4] == ["1.52", "1", "14.70", "±0.10"]
    assert line.endswith("  suspect: identity; R below 0")
    assert json.loads(rd_sweep(path, "--json").stdout)["suspect"] == 1


def test_suspect_and_diverged_runs_are_both_said_and_exit_8(tmp_path):
    suspect = {(beta, seed) for beta in mnist_like.BETAS[:3] for seed in (0, 1)}
    path = finished_run(tmp_path / "run", both_splits(suspect=suspect, diverged={(10.0, 0)}))
    result = rd_sweep(path)
    assert result.exit_code == 8
    diverged, said_, *more = result.stderr.splitlines()
    assert diverged == "1 of 16 runs diverged." and more == []
    assert said_.startswith("Suspect: 6 of 16 runs: ") and ", 3 more rows. Do not" in said_


# The summary


def run_of(tmp_path, **given):
    return finished_run(tmp_path / "run", mnist_like.rows(**given))


def test_the_summary_lists_them_and_uses_none(tmp_path):
    rows = mnist_like.rows(suspect={(1.52, 0), (10.0, 0), (10.0, 1)})
    for row in rows:
        if row["status"] == "suspect":
            row |= {"rate": 0.0, "distortion": 1.0, "negative_elbo": 1.0}
    path = finished_run(tmp_path / "run", rows)
    text = rd_plot(path, "--summary").stdout
    assert (
        "Left out, because their numbers are suspect: beta 1.52, seed 0 (identity; R below 0),"
        " beta 10, seed 0 (identity; R below 0), beta 10, seed 1 (identity; R below 0)." in text
    )
    assert "Left out, because they diverged" not in text
    (found,) = json.loads(rd_plot(path, "--json").stdout)["runs"]
    checks = {"failed_checks": "identity; R below 0"}
    assert found["suspects"][0] == {"beta": 1.52, "seed": 0, **checks}
    assert len(found["suspects"]) == 3 and found["diverged"] == 0
    assert [point["beta"] for point in found["points"]] == list(mnist_like.BETAS[:-1])
    assert [point["seeds"] for point in found["points"]] == [2, 2, 2, 2, 1, 2, 2]
    assert found["best"]["negative_elbo"] > 100
    assert np.all(np.array([point["distortion"] for point in found["points"]]) > 50)


@pytest.mark.parametrize(
    "diverged, words_",
    [
        ((), "is suspect: its numbers contradict each other (see the column failed_checks)"),
        ({(1.0, 0)}, "diverged or is suspect (see the column failed_checks)"),
    ],
)
def test_a_summary_of_nothing_but_suspect_runs_is_one_line(tmp_path, diverged, words_):
    path = run_of(
        tmp_path, betas=(1.0, 2.0), seeds=1, suspect={(1.0, 0), (2.0, 0)}, diverged=diverged
    )
    text = f"run: every run of the split test {words_}."
    check_message(rd_plot(path, "--summary"), 1, text)
