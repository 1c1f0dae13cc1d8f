"""Numbers as the terminal shows them, and the printed table that is made of them."""

import math

import mnist_like
import pytest

from ratedistortion.cli.numbers import number, with_error
from ratedistortion.cli.results import results


@pytest.mark.parametrize(
    "value, text",
    [
        (1.005, "1.00"),
        (-0.004, "0.00"),
        (-0.0, "0.00"),
        (-0.006, "-0.01"),
        (999_999.0, "999999.00"),
        (6.3e82, "6.3e+82"),
        (-2.5e6, "-2.5e+06"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_a_number(value, text):
    assert number(value, 2) == text


@pytest.mark.parametrize(
    "value, error, text",
    [
        (3.0, 0.1, "3.00 ±0.10"),
        (-0.001, 0.0, "0.00 ±0.00"),
        (6.3e82, 1.2e54, "6.3e+82 ±1.2e+54"),
        (3.0, math.nan, "3.00"),
        (3.0, None, "3.00"),
        (math.nan, 0.1, "-"),
    ],
)
def test_a_number_with_its_error(value, error, text):
    assert with_error(value, error, 2) == text


def test_the_printed_table_has_no_minus_zero_no_long_number_and_no_nan(tmp_path):
    given = mnist_like.rows(
        (1.0,), 1, rate=-1e-9, distortion=6.3e54, marginal_kl=-0.001, rate_se=None
    )
    line = results(mnist_like.read(tmp_path, given), "nats").splitlines()[2]
    assert line.split()[2:5] == ["0.00", "6.3e+54", "±0.30"]
    assert "-0.00" not in line and "nan" not in line and len(line) < 90


def test_a_diverged_row_shows_no_numbers_even_if_it_has_some(tmp_path):
    (row,) = mnist_like.rows((1.0,), 1)
    frame = mnist_like.read(tmp_path, [row | {"status": "diverged", "diverged_at_step": 40}])
    (line,) = results(frame, "nats").splitlines()[2:]
    assert line.split() == ["1", "0", *"-----", "diverged", "at", "step", "40"]
