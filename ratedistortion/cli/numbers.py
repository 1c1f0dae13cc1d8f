"""Numbers, and tables of them, as the terminal shows them."""

import math
from collections.abc import Sequence

# From this size on a number is shown with an exponent: decimals say nothing there, and the number
# would be wider than its column.
_MIN_EXPONENTIAL = 1e6


def number(value: float | None, digits: int) -> str:
    """A number as text.

    Args:
        value: The number; None or NaN is missing.
        digits: Digits after the decimal point.

    Returns:
        `-` for a missing number, and never `-0.00`.
    """
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.1e}" if abs(value) >= _MIN_EXPONENTIAL else f"{value:z.{digits}f}"


def with_error(value: float | None, error: float | None, digits: int) -> str:
    """A number and its standard error as text.

    Args:
        value: The number; None or NaN is missing.
        error: Its standard error, which is left out if it is missing.
        digits: Digits after the decimal point.

    Returns:
        For example `3.00 ±0.10`.
    """
    shown, spread = number(value, digits), number(error, digits)
    return shown if "-" in (shown, spread) else f"{shown} ±{spread}"


def aligned(rows: Sequence[Sequence[str]], words: int) -> list[str]:
    """Lines in which the columns of a table lie below each other.

    Args:
        rows: Cells of equal numbers, the header first.
        words: How many of the last columns are aligned to the left, because they hold words.

    Returns:
        One line a row, without blanks at its end.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">"] * (len(widths) - words) + ["<"] * words
    line = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return [line.format(*row).rstrip() for row in rows]
