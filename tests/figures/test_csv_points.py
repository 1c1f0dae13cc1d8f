"""Points of a CSV file in the rate-distortion figure: names, colours, error bars, titles."""

import numpy as np
import pandas
import pytest
from drawing import check_layout, draw, said, words
from matplotlib.colors import to_hex

from ratedistortion.errors import SettingsError
from ratedistortion.figures import style
from ratedistortion.table import csv_points

RATE, DISTORTION = (120.0, 60.0, 20.0, 5.0), (60.0, 70.0, 110.0, 160.0)


@pytest.fixture
def read(tmp_path):
    """The table of a file with these columns beside rate and distortion."""

    def make(**columns):
        columns = {"rate": RATE, "distortion": DISTORTION} | columns
        pandas.DataFrame(columns).to_csv(tmp_path / "points.csv", index=False)
        return csv_points.read(tmp_path / "points.csv", "nats", "sum", "beta")

    return make


def dots(drawn):
    return drawn.axes[0].collections[-1]


def test_each_label_is_a_curve_with_its_name(frame, read):
    theirs = read(label=["VQ-VAE", "", "VQ-VAE", ""])
    drawn = draw({"ours": frame, "theirs.csv": theirs})
    assert {"ours", "VQ-VAE", "theirs.csv"} <= set(words(drawn))
    assert said(drawn, "2 curves from CSV files")
    assert said(drawn, "binarized_mnist, 10,000 test images")
    np.testing.assert_allclose(dots(drawn).get_offsets(), [(60, 70), (5, 160)])
    check_layout(drawn)
    assert said(draw({"theirs.csv": theirs[::2]}), "VQ-VAE")


def test_a_point_without_a_beta_has_the_colour_of_its_curve(frame, read):
    drawn = draw({"ours": frame, "theirs": read()})
    faces = {to_hex(colour) for colour in dots(drawn).get_facecolors()}
    assert faces == {style.ORANGE.lower()} and len(drawn.axes) == 2
    alone = draw(read())
    assert len(alone.axes) == 1 and not said(alone, "β")  # no bar where no beta is known
    assert said(alone, "1 curve from CSV files") and not said(alone, "images")
    check_layout(alone)
    some = draw(read(beta=[0.1, "", 1, 2]))
    faces = [to_hex(colour) for colour in dots(some).get_facecolors()]
    assert len(some.axes) == 2 and len(set(faces)) == 4 and faces.count("#000000") == 1


def test_error_bars_are_drawn_where_there_are_standard_errors(read):
    drawn = draw(read(rate_se=[4, "", 2, 1]))
    bars = drawn.axes[0].collections[0].get_segments()
    widths = sorted(np.ptp(np.array(bar)[:, 0]) for bar in bars)
    np.testing.assert_allclose(widths, [0, 2, 4, 8])


def test_what_the_file_says_of_data_and_split_is_in_the_title(read):
    table = read(dataset=["mnist"] * 4, split=["test", "test", "train", "train"])
    drawn = draw(table)
    assert said(drawn, "mnist, test images") and len(dots(drawn).get_offsets()) == 2
    with pytest.raises(SettingsError, match="no rows of the split train: it has test"):
        draw(table[:2], split="train")


def test_bits_per_dimension_need_one_number_of_dimensions(read):
    offsets = dots(draw(read(dimensions=[784] * 4), units="bits-per-dim")).get_offsets()
    np.testing.assert_allclose(sorted(offsets[:, 0]), np.sort(RATE) / np.log(2) / 784)
    for table in (read(), read(dimensions=[784, 784, 64, 64])):
        with pytest.raises(SettingsError, match="bits-per-dim need one number of dimensions"):
            draw(table, units="bits-per-dim")


def test_points_are_no_other_kind(read):
    with pytest.raises(SettingsError, match="kind rate-distortion only: got information"):
        draw(read(), "information")
