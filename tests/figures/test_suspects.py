"""Runs whose numbers contradict each other are shown apart, and are part of no line or band."""

import io

import mnist_like
import numpy as np
import pytest
from drawing import check_layout, draw, hollow, said, words
from matplotlib.colors import to_hex

from ratedistortion.figures import FIGURES, style

ONE = {(1.52, 1)}
ALL = {(beta, seed) for beta in mnist_like.BETAS for seed in (0, 1)}


def read(tmp_path, **given):
    return mnist_like.read(tmp_path, mnist_like.rows(**given))


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("suspect", [ONE, ALL])
def test_every_kind_shows_suspect_runs(tmp_path, kind, suspect):
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
def test_suspect_runs_are_part_of_no_hull_mean_or_band(tmp_path, kind):
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
    assert said(drawn, "1 suspect run drawn hollow, 2 diverged runs left out")
    check_layout(drawn)


def test_suspect_runs_have_the_colour_of_their_table(tmp_path):
    suspect, good = read(tmp_path, suspect=ONE), read(tmp_path)
    drawn = draw({"good": good, "suspect": suspect})
    check_layout(drawn)
    dots = drawn.axes[0].collections[-1]
    assert len(hollow(drawn)) == 1 and to_hex(dots.get_edgecolors()[0]) == style.ORANGE.lower()
    alone = read(tmp_path, suspect=ALL)
    for kind in ("rate-distortion", "information", "bounds"):
        check_layout(draw({"good": good, "all suspect": alone}, kind))


def test_suspect_and_saturated_information_differ(tmp_path):
    """Both are hollow: a plus is in the suspect ones, and the legend has both."""
    drawn = draw(read(tmp_path, suspect={(0.01, 0)}), "information")
    assert {"I near log N", "suspect run"} <= set(words(drawn))
    pluses = [line for line in drawn.axes[0].lines if line.get_marker() == "+"]
    assert [line.get_xydata().tolist() for line in pluses] == [[point] for point in hollow(drawn)]


@pytest.mark.parametrize("kind", FIGURES)
def test_huge_numbers_are_drawn_too(tmp_path, kind):
    rows = mnist_like.rows(suspect=ONE)
    (bad,) = (row for row in rows if row["status"] == "suspect")
    bad |= {"rate": 6.3e82, "distortion": 6.3e82, "marginal_kl": None}
    drawn, file = draw(mnist_like.read(tmp_path, rows), kind, "bits"), io.BytesIO()
    drawn.savefig(file, format="png")  # a canvas without a window draws when it is saved
    assert file.getvalue().startswith(b"\x89PNG")
    for axes in drawn.axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()


def test_tables_without_the_column_failed_checks_are_drawn(tmp_path):
    old = read(tmp_path, diverged={(10.0, 0)}).drop(columns="failed_checks")
    for kind in FIGURES:
        draw(old, kind)
