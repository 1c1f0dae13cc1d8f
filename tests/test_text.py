"""Text from outside: one line, nothing that a terminal obeys, no longer than asked."""

from hypothesis import given
from hypothesis import strategies as st

from ratedistortion.errors import SettingsError
from ratedistortion.text import printable


def test_what_cannot_be_printed_is_a_question_mark():
    assert printable("a\x1b[31m\n b\udcff\t c") == "a?[31m b? c"


@given(st.text(), st.integers(20, 60))
def test_the_middle_is_left_out_of_long_texts(text, length):
    line = printable(text, length)
    assert len(line) <= length and line.isprintable()
    whole = printable(text)
    if len(whole) > length:
        before, _, after = line.partition(" ... ")
        assert whole.startswith(before) and whole.endswith(after) and len(line) >= length - 2
    else:
        assert line == whole


def test_errors_are_one_line_of_400_characters():
    text = str(SettingsError("a\n" + "b" * 1000 + " the end."))
    assert len(text) <= 400 and text.startswith("a b") and text.endswith(" the end.")
