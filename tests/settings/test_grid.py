"""The grammar of `--betas`; expected values are worked by hand or come from NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratedistortion.errors import SettingsError
from ratedistortion.settings.grid import MAX_RUNS, check_grid, parse_grid

EXAMPLES = "write a list such as 0.1,1,4, a range such as 0.01:10:log16 or 0:4:lin5, or @FILE"

betas = st.floats(0, 3e38, allow_subnormal=False)
deterministic = settings(derandomize=True, deadline=None, database=None)


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_grid(text)
    return str(caught.value)


@pytest.mark.parametrize(
    "text, values",
    [
        ("1", (1.0,)),
        ("0.1,1,4", (0.1, 1.0, 4.0)),
        (" 4 , 0 ,1e-3", (4.0, 0.0, 0.001)),
        ("0:4:lin5", (0.0, 1.0, 2.0, 3.0, 4.0)),
        ("0.01:100:log5", (0.01, 0.1, 1.0, 10.0, 100.0)),
        ("1:2:lin2,0.5,4:8:log2", (1.0, 2.0, 0.5, 4.0, 8.0)),
        ("1:2:log3", (1.0, 1.41421, 2.0)),
        ("0:1:lin4", (0.0, 0.333333, 0.666667, 1.0)),
    ],
)
def test_what_is_written_is_what_is_swept(text, values):
    assert parse_grid(text) == values


@deterministic
@given(st.lists(betas, min_size=1, max_size=20, unique=True))
def test_a_list_comes_back_digit_by_digit(values):
    assert parse_grid(",".join(map(repr, values))) == tuple(values)


@deterministic
@given(
    st.floats(1e-6, 1e6), st.floats(1.5, 1e6), st.integers(2, 40), st.sampled_from(["log", "lin"])
)
def test_a_range_is_numpy_s_to_six_digits(low, ratio, count, kind):
    space = np.geomspace if kind == "log" else np.linspace
    expected = space(low, low * ratio, count)
    np.testing.assert_allclose(
        parse_grid(f"{low!r}:{low * ratio!r}:{kind}{count}"), expected, rtol=5.1e-6
    )


@deterministic
@given(st.text("0123456789.,:-+eloginfa@# \0\t", max_size=20))
def test_any_text_is_a_grid_or_one_line_that_says_why_not(text):
    try:
        values = parse_grid(text)
    except SettingsError as error:
        assert str(error).startswith("betas") and "\n" not in str(error)
    else:
        assert values and len(set(values)) == len(values)
        assert all(0 <= value < float("inf") for value in values)


def test_a_file_has_items_by_lines_or_commas_with_comments(tmp_path):
    path = tmp_path / "grid.txt"
    path.write_text("# low\n0.1, 0.2,\n\n1:4:log3  # middle\r\n8\n")
    assert parse_grid(f"@{path}") == (0.1, 0.2, 1.0, 2.0, 4.0, 8.0)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "no.txt", tmp_path / "binary"):
        assert refusal(f"@{path}").startswith(f"betas: cannot read the file {path}: ")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", f"betas must have at least one value: got none; {EXAMPLES}."),
        (" ", f"betas must have at least one value: got none; {EXAMPLES}."),
        ("1,-0.1,2", "betas must be finite and at least 0: got -0.1 (item 2 of 3)."),
        ("1,nan", "betas must be finite and at least 0: got nan (item 2 of 2)."),
        ("inf", "betas must be finite and at least 0: got inf (item 1 of 1)."),
        ("1e39", "betas must be finite and at least 0: got 1e+39 (item 1 of 1)."),
        ("1,2,1.0", "betas must differ from one another: got 1 twice (item 3 of 3)."),
        ("0,-0", "betas must differ from one another: got 0 twice (item 2 of 2)."),
        ("1:4:log3,2", "betas must differ from one another: got 2 twice (item 4 of 4)."),
        ("1,x", f"betas: cannot read 'x' (item 2 of 2); {EXAMPLES}."),
        ("1,", f"betas: cannot read '' (item 2 of 2); {EXAMPLES}."),
        ("1:2:cos3", f"betas: cannot read '1:2:cos3' (item 1 of 1); {EXAMPLES}."),
        ("1:2:log", f"betas: cannot read '1:2:log' (item 1 of 1); {EXAMPLES}."),
        ("1:two:log3", f"betas: cannot read '1:two:log3' (item 1 of 1); {EXAMPLES}."),
        (
            "0:1:log3",
            "betas: a log range must start above 0: got '0:1:log3' (item 1 of 1).",
        ),
        (
            "2:1:lin3",
            "betas: a range needs LOW < HIGH, both finite, and at least 2 points: got '2:1:lin3'"
            " (item 1 of 1).",
        ),
        (
            "7,1:2:lin1",
            "betas: a range needs LOW < HIGH, both finite, and at least 2 points: got '1:2:lin1'"
            " (item 2 of 2).",
        ),
        (
            "1:inf:lin3",
            "betas: a range needs LOW < HIGH, both finite, and at least 2 points: got"
            " '1:inf:lin3' (item 1 of 1).",
        ),
        (
            f"1:2:lin{MAX_RUNS + 1}",
            f"betas: a range has at most 100,000 points: got '1:2:lin{MAX_RUNS + 1}'"
            " (item 1 of 1).",
        ),
    ],
)
def test_every_refusal_says_what_and_where(text, message):
    assert refusal(text) == message


def test_a_negative_zero_is_zero():
    assert str(parse_grid("-0")[0]) == "0.0"


@pytest.mark.parametrize("values", [None, 1.0, [None], ["one"], [10**400]])
def test_what_is_no_number_is_refused(values):
    with pytest.raises(SettingsError, match="^betas must be numbers: "):
        check_grid(values)
