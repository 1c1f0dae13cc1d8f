"""A number as the terminal shows it."""

import math

_WIDE = 1e6  # from here on digits behind the point say nothing, and a column would burst


def number(value: float | None, digits: int) -> str:
    """A number with so many digits behind the point; `-` for a missing one, never `-0.00`."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.1e}" if abs(value) >= _WIDE else f"{value:z.{digits}f}"


def with_error(value: float | None, error: float | None, digits: int) -> str:
    """A number and its standard error, which is left out where it is missing."""
    shown, spread = number(value, digits), number(error, digits)
    return shown if "-" in (shown, spread) else f"{shown} ±{spread}"
