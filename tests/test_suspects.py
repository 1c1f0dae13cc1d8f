"""Runs whose numbers contradict each other: said aloud, shown apart, and part of no finding."""

import io
import json

import mnist_like
import numpy as np
import pytest
from click.testing import CliRunner
from drawing import check_layout, draw, hollow, said, words
from matplotlib.colors import to_hex

from ratedistortion import table
from ratedistortion.cli import plot, sweep
from ratedistortion.figures import FIGURES, style
from ratedistortion.settings import Settings
from ratedistortion.summary import finished

ONE = {(1.52, 1)}


def finished_run(path, found):
    """A run directory as a finished sweep leaves it, as far as reading it goes."""
    settings = Settings()
    manifest = {
        "schema": 1, "settings": settings.as_json(), "settings_sha256": settings.sha256(),
        "plan": {}, "versions": {}, "device": "cpu", "data_sha256": "0",
        "data_files": {},
    }  # fmt: skip
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(json.dumps(manifest))
    (path / "rd.parquet").write_bytes(table.write(found, {"settings": settings.as_json()}))
    return path


def invoke(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def both_splits(**given):
    return [*mnist_like.rows(split="train"), *mnist_like.rows(**given)]


def test_a_run_is_suspect_if_one_split_is_or_else_diverged_if_one_split_is(tmp_path):
    rows = both_splits(suspect={(1.52, 0), (10.0, 0)})
    rows[-1] |= {"status": "diverged"}  # beta 10, seed 1
    rows[14] |= {"status": "diverged"}  # beta 10, seed 0, train
    path = finished_run(tmp_path / "run", rows)
    manifest = json.loads((path / "manifest.json").read_text())
    summary = finished(path, manifest, None).attrs["summary"]
    assert list(summary)[1:5] == ["runs", "ok", "diverged", "suspect"]
    assert [summary[name] for name in list(summary)[1:5]] == [16, 13, 1, 2]


def test_a_sweep_with_suspect_runs_says_so_and_exits_8_however_often_it_is_asked(tmp_path):
    path = finished_run(tmp_path / "run", both_splits(suspect=ONE))
    for _ in range(2):
        result = invoke(sweep.main, path)
        assert result.exit_code == 8
        assert result.stderr == (
            "Suspect: 1 of 16 runs: numbers contradict each other: beta 1.52, seed 1, test"
            " (identity; R below 0). Do not use them: see the column failed_checks, and run"
            " `rd-sweep --verify` to check this machine.\n"
        )
    (line,) = (line for line in result.stdout.splitlines() if "  suspect: " in line)
    assert line.split()[:4] == ["1.52", "1", "14.70", "±0.10"]
    assert line.endswith("  suspect: identity; R below 0")
    assert json.loads(invoke(sweep.main, path, "--json").stdout)["suspect"] == 1


def test_suspect_and_diverged_runs_are_both_said_and_exit_8(tmp_path):
    suspect = {(beta, seed) for beta in mnist_like.BETAS[:3] for seed in (0, 1)}
    path = finished_run(tmp_path / "run", both_splits(suspect=suspect, diverged={(10.0, 0)}))
    result = invoke(sweep.main, path)
    assert result.exit_code == 8
    diverged, said_, *more = result.stderr.splitlines()
    assert diverged == "1 of 16 runs diverged." and more == []
    assert said_.startswith("Suspect: 6 of 16 runs: ") and ", 3 more rows. Do not" in said_


# Figures


def read(tmp_path, **given):
    return mnist_like.read(tmp_path, mnist_like.rows(**given))


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("suspect", [ONE, {(b, s) for b in mnist_like.BETAS for s in (0, 1)}])
def test_every_kind_shows_them(tmp_path, kind, suspect):
    drawn = draw(read(tmp_path, suspect=suspect), kind)
    check_layout(drawn)
    if kind == "gallery":  # a beta with another seed shows that one
        count = sum(text.endswith("\nsuspect") for text in words(drawn))
        assert count == (0 if len(suspect) == 1 else 6)
        return
    assert len(hollow(drawn)) == len(suspect) * (3 if kind == "information" else 1)
    many = "16 suspect runs" if len(suspect) > 1 else "1 suspect run"
    assert said(drawn, "suspect" if kind == "training" else f"{many} drawn hollow")


@pytest.mark.parametrize("kind", ["rate-distortion", "information", "bounds"])
def test_they_are_part_of_no_hull_mean_or_band(tmp_path, kind):
    """Lines and bands are those of a table without them, and the axes reach as far as they do."""
    rows = mnist_like.rows(suspect=ONE)
    (bad,) = (row for row in rows if row["status"] == "suspect")
    bad |= {"rate": -5.0, "distortion": 500.0, "negative_elbo": 1.0, "mutual_information": 99.0}
    bad |= {"mutual_information_upper": 99.0, "mutual_information_lower": -9.0}
    frame = mnist_like.read(tmp_path, rows)
    drawn, without = draw(frame, kind), draw(frame[frame["status"] == "ok"], kind)
    levels = {style.GREY}  # lines of equal ELBO follow the axes

    def lines(drawn):
        found = [line for line in drawn.axes[0].lines if line.get_color() not in levels]
        return [line.get_xydata().tolist() for line in found if line.get_linestyle() != "None"]

    def bands(drawn):
        return [p.vertices.tolist() for c in drawn.axes[0].collections[:1] for p in c.get_paths()]

    assert str(lines(drawn)) == str(lines(without)) and len(lines(drawn)) >= 1
    assert bands(drawn) == bands(without)
    axes = drawn.axes[0]
    for x, y in hollow(drawn):
        assert min(axes.get_xlim()) < x < max(axes.get_xlim())
        assert min(axes.get_ylim()) < y < max(axes.get_ylim())


def test_the_note_names_suspect_and_diverged_runs(tmp_path):
    drawn = draw(read(tmp_path, suspect=ONE, diverged={(10.0, 0), (10.0, 1)}))
    assert said(drawn, "1 suspect run drawn hollow,\n2 diverged runs left out")
    check_layout(drawn)


def test_of_several_tables_they_have_the_colour_of_their_own(tmp_path):
    suspect, good = read(tmp_path, suspect=ONE), read(tmp_path)
    drawn = draw({"good": good, "suspect": suspect})
    check_layout(drawn)
    dots = drawn.axes[0].collections[-1]
    assert len(hollow(drawn)) == 1 and to_hex(dots.get_edgecolors()[0]) == style.ORANGE.lower()
    alone = read(tmp_path, suspect={(b, s) for b in mnist_like.BETAS for s in (0, 1)})
    for kind in ("rate-distortion", "information", "bounds"):
        check_layout(draw({"good": good, "all suspect": alone}, kind))


def test_suspect_and_saturated_information_differ(tmp_path):
    """Both are hollow: a plus is in the suspect ones, and the legend has both."""
    drawn = draw(read(tmp_path, suspect={(0.01, 0)}), "information")
    assert {"I saturated", "suspect"} <= set(words(drawn))
    pluses = [line for line in drawn.axes[0].lines if line.get_marker() == "+"]
    assert [line.get_xydata().tolist() for line in pluses] == [[point] for point in hollow(drawn)]


@pytest.mark.parametrize("kind", FIGURES)
def test_numbers_beyond_all_measure_are_drawn_too(tmp_path, kind):
    rows = mnist_like.rows(suspect=ONE)
    (bad,) = (row for row in rows if row["status"] == "suspect")
    bad |= {"rate": 6.3e82, "distortion": 6.3e82, "marginal_kl": None}
    drawn, file = draw(mnist_like.read(tmp_path, rows), kind, "bits"), io.BytesIO()
    drawn.savefig(file, format="png")  # a canvas without a window draws when it is saved
    assert file.getvalue().startswith(b"\x89PNG")
    for axes in drawn.axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()


def test_tables_without_the_column_are_read_as_before(tmp_path):
    old = read(tmp_path, diverged={(10.0, 0)}).drop(columns="failed_checks")
    for kind in FIGURES:
        draw(old, kind)


# The summary


def run_of(tmp_path, **given):
    return finished_run(tmp_path / "run", mnist_like.rows(**given))


def test_the_summary_lists_them_and_uses_none(tmp_path):
    rows = mnist_like.rows(suspect={(1.52, 0), (10.0, 0), (10.0, 1)})
    for row in rows:
        if row["status"] == "suspect":
            row |= {"rate": 0.0, "distortion": 1.0, "negative_elbo": 1.0}
    path = finished_run(tmp_path / "run", rows)
    text = invoke(plot.main, path, "--summary").stdout
    assert (
        "Left out, because their numbers are suspect: beta 1.52, seed 0 (identity; R below 0),"
        " beta 10, seed 0 (identity; R below 0), beta 10, seed 1 (identity; R below 0)." in text
    )
    assert "Left out, because they diverged" not in text
    (found,) = json.loads(invoke(plot.main, path, "--json").stdout)["runs"]
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
    result = invoke(plot.main, path, "--summary")
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr == f"Error: run: every run of the split test {words_}.\n"
