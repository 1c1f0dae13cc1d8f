"""Points of other people beside our own sweeps, and the numbers of a figure as a CSV file."""

import csv
import json

import mnist_like
import numpy as np
import pandas
import pytest
from commands import check_error, check_message, rd_plot

import ratedistortion
from ratedistortion.theory import linear_gaussian_optimum

SUM = ("--input-units", "nats", "--reduction", "sum")
BETAS = np.geomspace(0.1, 2, 9)


@pytest.fixture
def run_dir(tmp_path):
    return mnist_like.run_directory(tmp_path / "ours")


def exact_points(path, shift=0.0, **columns):
    """The optima of linear-Gaussian models, in nats per image, as a paper could give them."""
    variances = np.array([4, 1, 0.25])
    optima = [linear_gaussian_optimum(variances, 0.2**0.5, float(beta)) for beta in BETAS]
    points = pandas.DataFrame(
        {
            "beta": BETAS,
            "rate": [optimum.rate for optimum in optima],
            "distortion": [optimum.distortion + shift for optimum in optima],
        }
    )
    points.assign(**columns).to_csv(path, index=False)
    return path


def drawn_numbers(*arguments):
    """What `-o FILE.csv` writes."""
    output = arguments[0].parent / "numbers.csv"
    result = rd_plot(*arguments, "-o", output)
    assert (result.stdout, result.stderr, result.exit_code) == (f"{output}\n", "", 0)
    return pandas.read_csv(output)


def test_points_of_two_conventions_land_on_one_curve_and_are_refused_before(tmp_path):
    """The paper's own file has nats and beta; its twin has bits a dimension, and lambda."""
    first = exact_points(tmp_path / "first.csv")
    table = pandas.read_csv(first)
    table["beta"] **= -1
    table[["rate", "distortion"]] /= 3 * np.log(2)
    table.to_csv(second := tmp_path / "second.csv", index=False)
    for path in (first, second):
        for said in ((), SUM[:2], SUM, ("--convention", "beta"), ("--convention", "lambda")):
            result = rd_plot(path, "-o", tmp_path / "a.png", *said)
            check_error(result, 2, f"{path} does not say ", "--")
    said = ("--input-units", "bits-per-dim", "--dimensions", 3)
    one = drawn_numbers(first, *SUM, "--convention", "beta")
    two = drawn_numbers(second, *said, "--convention", "lambda")
    for name in ("beta", "rate", "distortion"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-12)
    # Taken for the other convention, R would rise with beta.
    result = rd_plot(second, *said, "--convention", "beta", "-o", tmp_path / "a.png")
    check_error(result, 2, "second.csv: R rises and D falls with beta at every step")
    assert not (tmp_path / "a.png").exists()


def test_points_are_drawn_with_their_names_beside_a_sweep(run_dir, tmp_path):
    (tmp_path / "paper.csv").write_text(
        "label,rate,distortion,distortion_se\nVQ-VAE,20,90,1\n,10,120,\nVQ-VAE,5,140,2\n"
    )
    output = tmp_path / "a.svg"
    assert rd_plot(run_dir, tmp_path / "paper.csv", *SUM, "-o", output).exit_code == 0
    written = drawn_numbers(run_dir, tmp_path / "paper.csv", *SUM)
    assert written["label"].unique().tolist() == ["ours", "VQ-VAE", "paper.csv"]
    for name in ("ours", "VQ-VAE", "paper.csv", "2 curves from CSV files"):
        assert f"<!-- {name} -->" in output.read_text()


def test_the_numbers_of_a_figure_can_be_read_again(run_dir, tmp_path):
    table = ratedistortion.read(run_dir)
    for units, factor in (("nats", 1), ("bits-per-dim", 1 / np.log(2) / 784)):
        written = drawn_numbers(run_dir, "--units", units)
        for name in ("rate", "rate_se", "distortion", "distortion_se"):
            np.testing.assert_allclose(written[name], table[name] * factor, rtol=1e-14)
        assert set(written["units"]) == {units} and set(written["label"]) == {"ours"}
        assert written["seed"].tolist() == table["seed"].tolist()
        again = ratedistortion.read(tmp_path / "numbers.csv")
        for name in ("beta", "rate", "rate_se", "distortion", "distortion_se"):
            np.testing.assert_allclose(again[name], table[name], rtol=1e-12)
        assert again.attrs["ratedistortion"]["unused"] == []


def test_what_is_drawn_hollow_or_left_out_stays_so(tmp_path):
    rows = mnist_like.rows(diverged={(10.0, 0)}, suspect={(0.01, 0)})
    run = mnist_like.run_directory(tmp_path / "run", rows)
    written = drawn_numbers(run)
    assert written["status"].value_counts().to_dict() == {"ok": 14, "suspect": 1}
    text = rd_plot(tmp_path / "numbers.csv", "--summary").stdout
    assert "because their numbers are suspect: beta 0.01, seed 0 (the file says so)." in text


def test_numbers_of_information_and_of_squared_errors_have_their_own_columns(run_dir, tmp_path):
    written = drawn_numbers(run_dir, "--kind", "information", "--units", "bits")
    table = ratedistortion.read(run_dir)
    for name in ("mutual_information", "marginal_kl_se", "log_examples"):
        np.testing.assert_allclose(written[name], table[name] / np.log(2))
    rows = mnist_like.rows(likelihood="gaussian", distortion_mse=0.25, distortion_mse_se=0.01)
    gaussian = mnist_like.run_directory(tmp_path / "gaussian", rows)
    written = drawn_numbers(gaussian, "--distortion", "mse", "--units", "bits")
    assert set(written["distortion_mse"]) == {0.25} and "distortion" not in written
    result = rd_plot(tmp_path / "numbers.csv", "-o", tmp_path / "a.png")
    check_error(result, 2, "must name the columns rate and distortion")


def test_summary_compares_points_with_a_sweep_as_two_sweeps(tmp_path):
    """The second curve lies half a nat above the first, at every rate."""
    first = exact_points(tmp_path / "a.csv", units="nats", reduction="sum", convention="beta")
    second = exact_points(tmp_path / "b.csv", shift=0.5)
    pandas.read_csv(second).drop(columns="beta").to_csv(second, index=False)
    found = json.loads(rd_plot(first, second, *SUM, "--json").stdout)
    assert found["comparison"]["bd_distortion"] == pytest.approx(0.5)
    assert found["comparison"]["same_data"] is None
    ours, theirs = found["runs"]
    assert ours["images"] is None is ours["dataset"] and ours["points"][0]["rate_se"] is None
    assert [point["beta"] for point in ours["points"]] == pytest.approx(BETAS.tolist())
    # At an optimum the slope is -beta; how strangers trained is not known, so there is no verdict.
    assert abs(ours["points"][4]["slope_over_minus_beta"] - 1) < 0.05
    assert ours["points"][4]["slope_se"] is None is ours["points"][4]["verdict"]
    assert theirs["knee_beta"] is None is theirs["points"][4]["regime"]
    assert theirs["best"]["beta"] is None is theirs["best"]["seed"]
    text = rd_plot(first, second, *SUM, "--summary").stdout
    assert "b.csv against a.csv, nats per image; below 0, it is better:" in text
    assert "BD-distortion +0.50, over R " in text
    assert "Whether both have the same images and likelihood is not known" in text
    assert "no verdict: it is not known how these points were trained" in text
    assert "±" not in text and "nan" not in text


def test_summary_does_not_compare_points_of_other_data(run_dir, tmp_path):
    for name, value in (("dataset", "cifar10"), ("dimensions", 1024)):
        other = exact_points(tmp_path / "a.csv", **{name: value})
        said = (*SUM, "--convention", "beta")
        text = rd_plot(run_dir, other, *said, "--summary").stdout
        assert "a.csv against ours: no BD-rate: they have different data, likelihoods" in text


def measured_points(path, **said):
    """A table of rd-measure of three betas, with what is said of their D."""
    random = np.random.default_rng(0)
    sources = []
    for beta in (0.5, 1.0, 2.0):
        mean = random.normal(size=(60, 2)) / beta
        source = {"mean": mean, "scale": np.full((60, 2), 0.5 * beta), "prior": "standard"}
        sources.append({"beta": beta, "distortion": np.full(60, 50.0 * beta), **source, **said})
    ratedistortion.measure(*sources, output=path)
    return path


def test_summary_compares_exported_posteriors_as_far_as_they_say_what_d_is_of(tmp_path):
    first = measured_points(tmp_path / "a.parquet", dataset="cats", likelihood="gaussian")
    for name, said in (
        ("unsaid", {}),
        ("same", {"dataset": "cats", "likelihood": "gaussian", "likelihood_scale": 1.0}),
        ("counted", {"dimensions": 7}),
    ):
        second = measured_points(tmp_path / f"{name}.parquet", **said)
        found = json.loads(rd_plot(first, second, "--json").stdout)["comparison"]
        assert found["undefined"] is None is found["same_data"], name
        text = rd_plot(first, second, "--summary").stdout
        assert "Whether both have the same images and likelihood is not known" in text
    scaled = measured_points(tmp_path / "b.parquet", likelihood="gaussian", likelihood_scale=0.5)
    said = {"dataset": "cats", "likelihood": "gaussian", "likelihood_scale": 1.0}
    for second in (measured_points(tmp_path / "c.parquet", dataset="dogs"), scaled):
        third = measured_points(tmp_path / "d.parquet", **said)
        text = rd_plot(third, second, "--summary").stdout
        assert "no BD-rate: they have different data, likelihoods or scales" in text


def test_seeds_and_errors_of_points_are_as_of_a_sweep(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "beta,rate,distortion,split\n1,2,9,test\n1,4,7,test\n2,1,11,test\n1,9,9,train\n"
    )
    said = (*SUM, "--convention", "beta")
    (run,) = json.loads(rd_plot(path, *said, "--json").stdout)["runs"]
    one, two = run["points"]
    assert (one["seeds"], one["rate"], one["distortion"]) == (2, 3, 8) and two["seeds"] == 1
    # Two runs that differ by 2 have a spread of sqrt(2), and their mean an error of 1.
    assert one["rate_se"] == pytest.approx(1) and two["rate_se"] is None
    path.write_text("beta,rate,rate_se,distortion\n1,3,0.5,8\n2,1,,11\n4,0.5,0.25,12\n")
    points = json.loads(rd_plot(path, *said, "--json").stdout)["runs"][0]["points"]
    assert [point["rate_se"] for point in points] == [0.5, None, 0.25]
    assert {point[name] for point in points for name in ("slope_se", "distortion_se")} == {None}


def test_points_of_a_split_are_those_and_the_ones_that_say_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("rate,distortion,split\n9,9,train\n4,7,test\n2,9,\n")
    for split, expected in (("train", [9, 2]), ("test", [4, 2])):
        (run,) = json.loads(rd_plot(path, *SUM, "--json", "--split", split).stdout)["runs"]
        assert [point["rate"] for point in run["points"]] == expected


@pytest.mark.parametrize("kind", ["information", "bounds", "gallery", "training", "data"])
def test_kinds_that_need_a_model_say_what_points_can_be_drawn_in(run_dir, tmp_path, kind):
    path = exact_points(tmp_path / "a.csv")
    text = f"points of a CSV file are drawn in kind rate-distortion only: got {kind}."
    for runs in ([path], [run_dir, path]):
        result = rd_plot(
            *runs, *SUM, "--convention", "beta", "--kind", kind, "-o", tmp_path / "a.png"
        )
        check_message(result, 2, text)


def test_wrong_usage_of_points_is_one_line(run_dir, tmp_path):
    path = exact_points(tmp_path / "a.csv")
    said = (path, *SUM, "--convention", "beta")
    check_message(
        rd_plot(run_dir, "--input-units", "bits"),
        2,
        "--input-units, --reduction, --convention and --dimensions need a CSV file among the RUNs.",
    )
    check_message(
        rd_plot(*said, "-o", tmp_path / "b.png", "--units", "bits-per-dim"),
        2,
        "bits-per-dim need one number of dimensions for each curve: give --dimensions N, or a "
        "column dimensions.",
    )
    check_message(
        rd_plot(*said, "-o", tmp_path / "b.png", "--distortion", "mse"),
        2,
        "distortion mse: a.csv is of a CSV file, which has none.",
    )
    before = path.read_bytes()
    text = f"{path} is one of the RUNs: it would be replaced."
    check_message(rd_plot(*said, "-o", path), 2, text)
    assert path.read_bytes() == before
    for kind in ("bounds", "data"):
        text = f"a CSV file has the numbers of kind rate-distortion or information: got {kind}."
        check_message(rd_plot(run_dir, "--kind", kind, "-o", tmp_path / "b.csv"), 2, text)
    output = tmp_path / "none" / "b.csv"
    text = f"{output}: cannot be written: No such file or directory."
    check_message(rd_plot(run_dir, "-o", output), 2, text)


def test_columns_without_a_meaning_are_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("rate,distortion,rate_std,\x1b[31m\n1,2,3,4\n")
    result = rd_plot(path, *SUM, "--summary")
    assert result.exit_code == 0 and result.stderr == "a.csv: not used: ?[31m, rate_std.\n"


def test_labels_that_meet_get_the_name_of_their_file(run_dir, tmp_path):
    rd_plot(run_dir, "-o", tmp_path / "ours.csv")
    written = drawn_numbers(run_dir, tmp_path / "ours.csv")
    assert written["label"].unique().tolist() == ["ours", "ours (ours.csv)"]
    with (tmp_path / "both.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["label", "rate", "distortion"], ["ours", 1, 2], ["ours (both.csv)", 1, 2]]
        )
    result = rd_plot(tmp_path / "both.csv", run_dir, *SUM, "-o", tmp_path / "a.png")
    assert result.exit_code == 0
    (tmp_path / "both.csv").write_text("label,rate,distortion\nours (both.csv),1,2\nours,1,2\n")
    result = rd_plot(run_dir, tmp_path / "both.csv", *SUM, "-o", tmp_path / "a.png")
    check_message(result, 2, "two curves are called 'ours (both.csv)': change a label.")
