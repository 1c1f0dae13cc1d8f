"""Numbers as the terminal shows them."""

import math

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
