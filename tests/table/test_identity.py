"""What tells two runs apart, for one run and for the rows of a table."""

import math

import pandas
import pytest

from ratedistortion.table.identity import asked_for, run_key

RUNS = [
    ({"beta": 0.5, "seed": 3}, (0.5, 3)),
    ({"beta": 0.5, "seed": 3, "target_rate": None}, (0.5, 3)),
    ({"beta": 0.5, "seed": 3, "target_rate": math.nan}, (0.5, 3)),
    ({"beta": 0.5, "seed": 3, "target_rate": 12.0}, (12.0, 3)),
    ({"beta": 0.5, "seed": 3, "target_rate": 0.0}, (0.0, 3)),
]


@pytest.mark.parametrize("run, key", RUNS)
def test_a_target_rate_stands_for_the_beta_even_where_it_is_zero(run, key):
    assert run_key(run) == key
    assert asked_for(pandas.DataFrame([run])).tolist() == [key[0]]


def test_rows_with_and_without_a_target_rate_keep_their_order_and_index():
    rows = pandas.DataFrame([run for run, _ in RUNS], index=[9, 7, 5, 3, 1])
    assert asked_for(rows).tolist() == [key[0] for _, key in RUNS]
    assert asked_for(rows).index.tolist() == [9, 7, 5, 3, 1]


@pytest.mark.parametrize(
    "run, error",
    [
        ({"seed": 0}, KeyError),
        ({"beta": 1.0}, KeyError),
        ({"beta": None, "seed": 0}, TypeError),
        ({"beta": "one", "seed": 0}, ValueError),
        ({"beta": 1.0, "seed": math.inf}, OverflowError),
        ({"beta": 1.0, "seed": 0, "target_rate": []}, TypeError),
    ],
)
def test_what_names_no_run_is_refused(run, error):
    with pytest.raises(error):
        run_key(run)
