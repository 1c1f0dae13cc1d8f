"""Points of other people: units, conventions, and what a stranger's CSV file may be like."""

import math
import os

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ratedistortion
from ratedistortion.errors import RateDistortionError, SettingsError
from ratedistortion.table import csv_points

SAID = {"input_units": "nats", "reduction": "sum", "convention": "beta"}


@pytest.fixture
def points(tmp_path):
    """Reads a CSV file of this content."""

    def read(content, **said):
        path = tmp_path / "points.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return csv_points.read(path, **said)

    return read


def refused(read, content, text, **said):
    with pytest.raises(SettingsError) as caught:
        read(content, **SAID | said)
    assert text in str(caught.value)


def test_a_table_in_nats_per_image_has_what_the_file_says(points):
    table = points(
        "label,beta,rate,rate_se,distortion,distortion_se,seed,split,dataset,dimensions,status\n"
        'A,0.5,10,0.1,90,0.2,3,test,"digits, small",64,ok\n'
        "B,2,4,,100,,,,,,suspect\n",
        **SAID,
    )
    assert table["label"].tolist() == ["A", "B"] and table["beta"].tolist() == [0.5, 2.0]
    assert table["rate"].tolist() == [10.0, 4.0] and table["distortion"].tolist() == [90.0, 100.0]
    assert table["dataset"].tolist() == ["digits, small", ""]
    assert table["split"].tolist() == ["test", ""] and table["status"].tolist() == ["ok", "suspect"]
    assert table["seed"].iloc[0] == 3 and table["dimensions"].iloc[0] == 64
    assert table["negative_elbo"].tolist() == [100.0, 104.0]
    # The errors of R and D may go together: their sum is the most that the error of R + D can be.
    assert table["negative_elbo_se"].iloc[0] == pytest.approx(0.3)
    assert table.iloc[1][["rate_se", "distortion_se", "negative_elbo_se", "seed"]].isna().all()


def test_two_conventions_of_one_paper_are_the_same_points(points):
    """By hand: 1 nat is 1 / ln 2 bits, a mean is a sum over d, and lambda is 1 / beta."""
    d, beta = 5, np.array([0.25, 1.0, 3.0])
    rate, distortion = np.array([12.0, 6.5, 2.25]), np.array([80.0, 84.125, 97.0])

    def written(weight, values, factor=1.0):
        columns = {weight: values, "rate": factor * rate, "distortion": factor * distortion}
        return pandas.DataFrame(columns).to_csv(index=False)

    bits = {"input_units": "bits", "dimensions": d}
    tables = [
        points(written("beta", beta), **SAID),
        points(written("lambda", 1 / beta, 1 / math.log(2)), **bits, reduction="sum"),
        points(
            written("lambda", 1 / beta, 1 / math.log(2) / d), **bits, reduction="mean"
        ),
        points(
            written("beta", 1 / beta, 1 / math.log(2) / d),
            input_units="bits-per-dim", convention="lambda", dimensions=d,
        ),
        points(
            written("lambda", beta, 1 / d),
            input_units="nats", reduction="mean", convention="beta", dimensions=d,
        ),
    ]  # fmt: skip
    for table in tables:
        np.testing.assert_allclose(table["beta"], beta, rtol=1e-12)
        np.testing.assert_allclose(table["rate"], rate, rtol=1e-12)
        np.testing.assert_allclose(table["distortion"], distortion, rtol=1e-12)


@pytest.mark.parametrize(
    "header, said, asked",
    [
        ("rate,distortion", {}, ["--input-units", "--reduction"]),
        ("beta,rate,distortion", {}, ["--input-units", "--reduction", "--convention"]),
        ("lambda,rate,distortion", {"input_units": "bits"}, ["--reduction"]),
        ("beta,rate,distortion", {"input_units": "nats", "reduction": "sum"}, ["--convention"]),
        ("rate,distortion", {"input_units": "bits-per-dim"}, ["--dimensions"]),
        ("rate,distortion", {"input_units": "nats", "reduction": "mean"}, ["--dimensions"]),
        ("beta,rate,distortion", {"reduction": "mean"}, ["--input", "--convention", "--dim"]),
    ],
)
def test_what_is_not_known_is_asked_for(points, header, said, asked):
    options = ["--input-units", "--reduction", "--convention", "--dimensions"]
    with pytest.raises(SettingsError) as caught:
        points(f"{header}\n{','.join('123'[: header.count(',') + 1])}\n", **said)
    text = str(caught.value)
    assert "points.csv does not say " in text and "..." not in text
    assert [name for name in options if name in text] == [
        name for name in options if name.startswith(tuple(asked))
    ]


def test_what_the_file_says_is_not_asked_for_and_not_contradicted(points):
    text = (
        "beta,rate,distortion,units,reduction,convention,dimensions\n"
        "2,1,2,bits-per-dim,,lambda,10\n"
    )
    table = points(text)
    assert table["beta"].tolist() == [0.5]
    assert table["rate"].iloc[0] == pytest.approx(10 * math.log(2))
    for option, name, value in (
        ("input_units", "units", "bits"),
        ("convention", "convention", "beta"),
        ("dimensions", "dimensions", 11),
    ):
        with pytest.raises(SettingsError) as caught:
            points(text, **{option: value})
        shown = f"line 2: column {name} and --{option.replace('_', '-')} differ: "
        assert shown in str(caught.value)
    with pytest.raises(SettingsError, match="bits-per-dim are means over the dimensions"):
        points(text, reduction="sum")
    assert (
        points("rate,distortion\n1,2\n", input_units="nats", reduction="sum")["beta"].isna().all()
    )


def test_a_weight_that_is_on_the_other_term_is_seen(points):
    """Where beta weighs the rate, a larger beta cannot make every rate larger, and every D less."""
    text = "{},rate,distortion\n1,1,9\n2,2,6\n4,3,5\n"
    refused(points, text.format("beta"), "R rises and D falls with beta at every step")
    assert points(text.format("lambda"), input_units="nats", reduction="sum")["beta"][2] == 0.25
    text = "lambda,rate,distortion\n1,3,5\n2,2,6\n4,1,9\n"  # J = D + lambda R, as in video coding
    refused(points, text, "--convention", convention=None)
    assert points(text, **SAID)["beta"].tolist() == [1, 2, 4]
    # Each label and split has a curve of its own, and two points may be so by their noise.
    text = "label,beta,rate,distortion\na,1,1,9\na,2,2,8\nb,3,3,7\nb,4,4,6\n"
    assert len(points(text, **SAID)) == 4


@pytest.mark.parametrize(
    "content, text",
    [
        ("", "the first line must name the columns rate and distortion: got nothing."),
        ("R,D\n1,2\n", "the first line must name the columns rate and distortion: got 'R,D'."),
        ("1,2\n3,4\n", "must name the columns rate and distortion: got '1,2'"),
        ("rate,distortion\n", "it has no points"),
        ("rate,distortion\n\n , \n", "it has no points"),
        ("rate,distortion,Rate\n1,2,3\n", "column rate is there twice"),
        ("rate,distortion,beta,lambda\n1,2,3,4\n", "has both beta and lambda"),
        ("rate,distortion\n1,2\n\n3,four\n", "line 4, column distortion: must be a finite"),
        ("rate,distortion\n1,\n", "column distortion: must be a finite number: got nothing."),
        ("rate,distortion\nnan,1\n", "line 2, column rate: must be a finite number: got 'nan'."),
        ("rate,distortion\n1e999,1\n", "column rate: must be a finite number: got '1e999'."),
        ("rate,distortion\n1_0,1\n", "line 2, column rate: must be a finite number: got '1_0'."),
        ("rate,distortion,rate_se\n1,1,-0.1\n", "column rate_se: must be at least 0: got '-0.1'."),
        ("rate,distortion,rate_se\n1,1,NA\n", "column rate_se: must be a finite number: got 'NA'."),
        ("rate,distortion,beta\n1,1,-1\n", "column beta: must be at least 0: got '-1'."),
        ("rate,distortion,seed\n1,1,1.5\n", "column seed: must be a whole number"),
        ("rate,distortion,dimensions\n1,1,0\n", "column dimensions: must be a whole number of at"),
        ("rate,distortion,split\n1,1,valid\n", "column split: must be train or test: got 'valid'."),
        ("rate,distortion,units\n1,1,nat\n", "column units: must be nats, bits or bits-per-dim:"),
        ("rate,distortion,status\n1,1,diverged\n", "column status: must be ok or suspect: got"),
        ("rate,distortion\n1,2\n1,2,3\n", "line 3 has 3 cells, and the first line has 2"),
        ("rate,distortion\n1\n", "line 2 has 1 cells, and the first line has 2"),
        ('rate,distortion\n"1,2\n', "it is no CSV file (unexpected end of data)"),
        (b"rate,distortion,label\n1,2,\xe9\n", "it is no text in UTF-8"),
        ("rate,distortion\n1,2\n".encode("utf-16"), "it is no text in UTF-8"),
        (b"rate,distortion\n1,\0\n", "must be a finite number: got"),
        (b"PAR1\x00\x00", "the first line must name the columns"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line_that_names_the_place(points, content, text):
    refused(points, content, text)


def test_a_lambda_of_zero_has_no_beta(points):
    for value in ("0", "1e-320"):
        text = f"rate,distortion,lambda\n1,1,{value}\n"
        refused(points, text, "line 2, column lambda: must be above 0", convention="lambda")
    assert points("rate,distortion,beta\n1,1,0\n", **SAID)["beta"].tolist() == [0]


def test_files_of_spreadsheets_are_read_where_they_are_certain(points):
    plain = points("rate,distortion,label\n1.25,2.5,a\n", **SAID)
    for content in (
        '"rate","distortion","label"\r1.25,2.5,"a"\r',
        "\ufeffRate, Distortion ,label\r\n1.25,2.5,a\r\n",
        "rate;distortion;label\n1,25;2,5;a\n",
        "rate;distortion;label;\n1,25;2,5;a;\n;;;\n",
        "rate\tdistortion\tlabel\n1.25\t2.5\ta\n",
        'rate;distortion;label\n"1,25";25,0e-1;a',
    ):
        table = points(content, **SAID)
        assert table.equals(plain), content
    comma = "a comma may mark decimals or thousands"
    refused(points, "rate;distortion\n1,250;2,500\n", comma)
    refused(points, "rate;distortion\n1,25;2.5\n", comma)
    refused(points, "rate;distortion\n1,25;2,5,0\n", comma)
    refused(points, 'rate,distortion\n"1,25",2\n', comma)


def test_what_was_not_used_is_kept_for_the_reader(points):
    table = points("rate,distortion,Epoch,rate std\n1,2,3,4\n", **SAID)
    assert table.attrs["ratedistortion"]["unused"] == ["epoch", "rate std"]


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SettingsError, match="pipe.csv: cannot be read: it is no regular file"):
        csv_points.read(tmp_path / "pipe.csv")
    with pytest.raises(SettingsError, match="none.csv: cannot be read: No such file or directory"):
        csv_points.read(tmp_path / "none.csv")
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(csv_points.MAX_BYTES + 1)
    with pytest.raises(SettingsError, match="large.csv: cannot be read: it is no regular file of"):
        csv_points.read(large)
    large.write_text("rate,distortion\n" + "1,2\n" * (csv_points.MAX_POINTS + 1))
    with pytest.raises(SettingsError, match="it has more than 10,000 points"):
        csv_points.read(large, **SAID)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | st.text("rate,distonb;\n\"'.-1e\t", max_size=60).map(str.encode))
def test_whatever_bytes_there_are_the_answer_is_a_table_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    for start in (b"", b"rate,distortion,label\n1,2,"):
        path.write_bytes(start + content)
        try:
            csv_points.read(path, **SAID)
        except RateDistortionError as error:
            assert "\n" not in str(error)


def test_python_reads_points_by_the_same_function_as_tables(tmp_path):
    path = tmp_path / "points.CSV"
    path.write_text("beta,rate,distortion\n2,1,3\n")
    table = ratedistortion.read(path, **SAID)
    assert table["rate"].tolist() == [1] and table["beta"].tolist() == [2]
    for name, value in {"units": "grams", "reduction": "max", "convention": "rate"}.items():
        name = "input_units" if name == "units" else name
        with pytest.raises(SettingsError, match=f"^{name} must be one of .*: got '{value}'"):
            ratedistortion.read(path, **{name: value})
    with pytest.raises(SettingsError, match="^dimensions must be a whole number .*: got 0"):
        ratedistortion.read(path, **SAID, dimensions=0)
    with pytest.raises(
        SettingsError, match="rd.parquet: it is no CSV file, which alone has input_"
    ):
        ratedistortion.read(tmp_path / "rd.parquet", input_units="nats")
