"""The grammar of `--betas` and `--target-rates`: lists, log and linear ranges, files."""

import math
import re
from pathlib import Path

from ratedistortion.errors import SettingsError

_RANGE = re.compile(r"([^:]*):([^:]*):(log|lin)(\d+)")
# The largest number of runs in a sweep, and of points in a range: lists of more take so much memory
# that the machine would stop before anything could be refused.
MAX_RUNS = 100_000
MAX_FLOAT = 3e38  # the largest number of any setting: above it, float32 is infinite
_EXAMPLES = "write a list such as 0.1,1,4, a range such as 0.01:10:log16 or 0:4:lin5, or @FILE"


def parse_grid(text: str, name: str = "betas") -> tuple[float, ...]:
    """Reads a grid of numbers that are at least 0.

    Args:
        text: Items separated by commas. An item is a number, `LOW:HIGH:logCOUNT` (evenly spaced
            in log beta, ends included) or `LOW:HIGH:linCOUNT`. `@FILE` reads the items from a
            file, separated by commas or lines, with `#` comments.
        name: What to call the grid in an error.

    Returns:
        The values in the order given. Range points are rounded to 6 significant digits, so that
        the number that is printed is the one that was trained.

    Raises:
        SettingsError: If an item cannot be read, or `check_grid` refuses the values.
    """
    if text.startswith("@"):
        try:
            lines = Path(text[1:]).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:  # not UTF-8, or a name with a null byte
            raise SettingsError(f"{name}: cannot read the file {text[1:]}: {error}.") from error
        text = ",".join(part for line in lines if (part := line.split("#")[0].strip(", \t")))
    items = [item.strip() for item in text.split(",")] if text.strip() else []
    values = (value for n, item in enumerate(items) for value in _parse(name, item, n, items))
    return check_grid(values, name)


def check_grid(values, name: str = "betas", may_be_empty: bool = False) -> tuple[float, ...]:
    """Refuses an empty grid and values that are negative, not finite or given twice.

    Args:
        values: Numbers, in any iterable.
        name: What to call the grid in an error.
        may_be_empty: Whether no value at all is accepted too.

    Returns:
        The same values as a tuple of floats.

    Raises:
        SettingsError: Naming the first item at fault and its place.
    """
    try:
        numbers = tuple(float(value) + 0.0 for value in values)  # -0 becomes 0
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingsError(f"{name} must be numbers: {error}; {_EXAMPLES}.") from None
    if not numbers and not may_be_empty:
        raise SettingsError(f"{name} must have at least one value: got none; {_EXAMPLES}.")
    before: set[float] = set()
    for n, number in enumerate(numbers):
        place = f"(item {n + 1} of {len(numbers)})"
        if not 0 <= number <= MAX_FLOAT:  # refuses nan too
            raise SettingsError(f"{name} must be finite and at least 0: got {number:g} {place}.")
        if number in before:
            raise SettingsError(
                f"{name} must differ from one another: got {number:g} twice {place}."
            )
        before.add(number)
    return numbers


def _parse(name: str, item: str, n: int, items: list[str]) -> list[float]:
    place = f"(item {n + 1} of {len(items)})"
    try:
        if not (match := _RANGE.fullmatch(item)):
            return [float(item)]
        low, high, count = float(match[1]), float(match[2]), int(match[4])
    except ValueError:
        raise SettingsError(f"{name}: cannot read {item!r} {place}; {_EXAMPLES}.") from None
    logarithmic = match[3] == "log"
    if not (math.isfinite(low) and math.isfinite(high)) or count < 2 or low >= high:
        raise SettingsError(
            f"{name}: a range needs LOW < HIGH, both finite, and at least 2 points:"
            f" got {item!r} {place}."
        )
    if logarithmic and low <= 0:
        raise SettingsError(f"{name}: a log range must start above 0: got {item!r} {place}.")
    if count > MAX_RUNS:
        raise SettingsError(
            f"{name}: a range has at most {MAX_RUNS:,} points: got {item!r} {place}."
        )
    fractions = [k / (count - 1) for k in range(count)]
    if logarithmic:
        points = [low ** (1 - fraction) * high**fraction for fraction in fractions]
    else:
        points = [low * (1 - fraction) + high * fraction for fraction in fractions]
    return [float(f"{point:.6g}") for point in points]
