import pytest

from ratedistortion.table.columns import COLUMNS, check_names


def test_names_of_columns_pass_in_their_order():
    assert check_names("rate", "beta") == ("rate", "beta")
    assert check_names(*COLUMNS) == COLUMNS and check_names() == ()


def test_a_name_that_is_no_column_is_refused():
    with pytest.raises(ValueError, match="no column is called 'ratee'"):
        check_names("rate", "ratee", "beta")
