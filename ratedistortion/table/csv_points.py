"""Reads points of rate and distortion from a CSV file, such as the results of a paper."""

import csv
import io
import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pandas

from ratedistortion.errors import SettingsError
from ratedistortion.table.units import CONVENTIONS, REDUCTIONS, UNITS, per_nat
from ratedistortion.untrusted import read_given

MAX_BYTES = 1 << 24
MAX_POINTS = 10_000
_MAX_COUNT = 1 << 53  # of dimensions, and the largest seed
_WORDS = {
    "split": ("train", "test"),
    "status": ("ok", "suspect"),
    "units": UNITS,
    "reduction": REDUCTIONS,
    "convention": CONVENTIONS,
}
_MEASURED = ("rate", "rate_se", "distortion", "distortion_se")
_NUMBERS = (*_MEASURED, "beta", "lambda")
_COUNTS = {"seed": 0, "dimensions": 1}  # each with the least that it can be
_NAMES = (*_NUMBERS, *_COUNTS, *_WORDS, "label", "dataset")
# What must be known of every point -> the option that says it where no column of this name does.
_OPTIONS = {
    "units": "--input-units",
    "reduction": "--reduction",
    "convention": "--convention",
    "dimensions": "--dimensions",
}
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,(\d*)([eE][+-]?\d+)?")


class _Line(NamedTuple):
    """A line of the file: its number, and the text of each cell that is not empty."""

    number: int
    cells: dict[str, str]


def read(
    path: Path,
    input_units: str | None = None,
    reduction: str | None = None,
    convention: str | None = None,
    dimensions: int | None = None,
) -> pandas.DataFrame:
    """The points of a CSV file, in nats per image, with beta as the weight of the rate.

    What the columns `units`, `reduction`, `convention` and `dimensions` say need not be given;
    a column `lambda` says that its convention is `lambda`.

    Args:
        path: The file. Its columns are in the guide of the table.
        input_units: nats, bits or bits-per-dim: of R, D and their standard errors.
        reduction: sum or mean: what R and D are over the dimensions of an image.
        convention: beta (loss D + beta R) or lambda (loss R + lambda D): what the column `beta`,
            or `lambda`, weighs.
        dimensions: Dimensions of one image.

    Returns:
        One row a point, in the order of the file, with columns of the table and `label`. Text that
        the file does not say is empty, a missing number NaN or null. `negative_elbo_se` is the sum
        of both standard errors: the error of R + D is at most that. `attrs["ratedistortion"]` has
        `unused`, the columns that have no meaning here.

    Raises:
        SettingsError: If something that must be known is not, or is said in two ways, or a cell is
            wrong.
    """
    given = {
        "units": input_units,
        "reduction": reduction,
        "convention": convention,
        "dimensions": dimensions,
    }
    _check_given(given)
    lines, unused = _lines(path)
    weight = "lambda" if any("lambda" in line.cells for line in lines) else "beta"
    rows = [(line, _values(path, line)) for line in lines]
    known = [_known(path, line, row, given, weight) for line, row in rows]
    _ask(path, known, weight)
    points = [_point(path, *row, facts, weight) for row, facts in zip(rows, known, strict=True)]
    table = pandas.DataFrame(points).astype({"seed": "Int64", "dimensions": "Int64"})
    table["negative_elbo"] = table["rate"] + table["distortion"]
    table["negative_elbo_se"] = table["rate_se"] + table["distortion_se"]
    curves: Any = table.groupby(["label", "split"])
    for (label, _), curve in curves:
        _check_direction(path, label, curve)
    table.attrs["ratedistortion"] = {"unused": unused}
    return table


def _check_given(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in _WORDS:
            fits, expected = value in _WORDS[name], f"one of {', '.join(_WORDS[name])}"
        else:
            fits = isinstance(value, int) and 1 <= value < _MAX_COUNT
            expected = "a whole number of at least 1"
        if value is not None and not fits:
            shown = _OPTIONS[name].removeprefix("--").replace("-", "_")
            raise SettingsError(f"{shown} must be {expected}: got {value!r}.")


def _lines(path: Path) -> tuple[list[_Line], list[str]]:
    """The lines of a file that are not empty, and the columns that have no meaning here."""
    try:
        text = read_given(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: it is no text in UTF-8: save it as CSV in UTF-8.") from error
    first = re.split("[\r\n]", text, maxsplit=1)[0]
    for mark in (",", ";", "\t"):
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=mark), [])]
        if {"rate", "distortion"} <= set(names):
            break
    else:
        got = repr(first[:80]) if first else "nothing"
        raise SettingsError(
            f"{path}: the first line must name the columns rate and distortion: got {got}."
        )
    for name in _NAMES:
        if names.count(name) > 1:
            raise SettingsError(f"{path}: column {name} is there twice.")
    if {"beta", "lambda"} <= set(names):
        raise SettingsError(f"{path} has both beta and lambda: take one column out.")
    lines = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        for cells in itertools.islice(reader, 1, None):
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if len(cells) != len(names):
                raise SettingsError(
                    f"{path}: line {reader.line_num} has {len(cells)} cells, and the first line"
                    f" has {len(names)}."
                )
            if len(lines) == MAX_POINTS:
                raise SettingsError(f"{path}: it has more than {MAX_POINTS:,} points.")
            found = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
            lines.append(_Line(reader.line_num, found))
    except csv.Error as error:
        raise SettingsError(f"{path}: it is no CSV file ({error}).") from error
    if not lines:
        raise SettingsError(f"{path}: it has no points below its first line.")
    if mark != ",":
        lines = _with_decimal_points(lines)
    return lines, sorted(set(names) - {*_NAMES, ""})


def _with_decimal_points(lines: list[_Line]) -> list[_Line]:
    """The same lines, with points for commas where these can be nothing but decimal marks."""
    texts = [line.cells[name] for line in lines for name in _NUMBERS if name in line.cells]
    matches = [_DECIMAL_COMMA.fullmatch(text) for text in texts if "," in text]
    # Three digits after every comma could be thousands, and a point beside commas could be either.
    certain = all(matches) and any(match and len(match[1]) != 3 for match in matches)
    if not certain or any("." in text for text in texts):
        return lines
    return [
        _Line(n, {k: v.replace(",", ".") if k in _NUMBERS else v for k, v in cells.items()})
        for n, cells in lines
    ]


def _values(path: Path, line: _Line) -> dict[str, Any]:
    """The cells of a line that have a meaning here, as numbers and words."""
    values: dict[str, Any] = {}
    for name in ("rate", "distortion"):
        if name not in line.cells:
            _refuse(path, line, name, "a finite number")
    for name, text in line.cells.items():
        if name in _NUMBERS:
            values[name] = _number(path, line, name)
        elif name in _COUNTS:
            if not re.fullmatch("[0-9]{1,16}", text) or not _COUNTS[name] <= int(text) < _MAX_COUNT:
                _refuse(path, line, name, f"a whole number of at least {_COUNTS[name]}")
            values[name] = int(text)
        elif name in _WORDS and text not in _WORDS[name]:
            *most, last = _WORDS[name]
            _refuse(path, line, name, f"{', '.join(most)} or {last}")
        elif name in _NAMES:
            values[name] = text
    return values


def _number(path: Path, line: _Line, name: str) -> float:
    text = line.cells[name]
    if "," in text:
        _refuse(path, line, name, "written with a point (a comma may mark decimals or thousands)")
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        _refuse(path, line, name, "a finite number")
    if value < 0 and (name in ("beta", "lambda") or name.endswith("_se")):
        _refuse(path, line, name, "at least 0")
    return value


def _refuse(path: Path, line: _Line, name: str, expected: str) -> NoReturn:
    got = repr(line.cells[name]) if name in line.cells else "nothing"
    raise SettingsError(
        f"{path}, line {line.number}, column {name}: must be {expected}: got {got}."
    )


def _known(
    path: Path, line: _Line, row: dict[str, Any], given: Mapping[str, Any], weight: str
) -> dict[str, Any]:
    """What is known of a line: by its cells or, where these are empty, by the options."""
    for name, option in _OPTIONS.items():
        if name in row and given[name] not in (None, row[name]):
            raise SettingsError(
                f"{path}, line {line.number}: column {name} and {option} differ: {row[name]} and"
                f" {given[name]}; leave {option} out, and say it in a column of each file."
            )
    known = {name: row.get(name, given[name]) for name in _OPTIONS}
    if known["units"] == "bits-per-dim":
        if known["reduction"] == "sum":
            raise SettingsError(
                f"{path}: bits-per-dim are means over the dimensions: got --reduction sum."
            )
        known["reduction"] = "mean"
    if weight not in row:
        known["convention"] = ""  # nothing is to be known of a weight that is not there
    elif weight == "lambda":
        known["convention"] = known["convention"] or "lambda"
    return known


def _ask(path: Path, known: list[dict[str, Any]], weight: str) -> None:
    """Asks, in one line, for all that is not known of some point."""
    questions = {
        "units": "its units (--input-units nats|bits|bits-per-dim)",
        "reduction": "whether R and D are sums or means over dimensions (--reduction sum|mean)",
        "convention": f"whether {weight} weighs R (--convention beta) or D (--convention lambda)",
        "dimensions": "the number of dimensions (--dimensions N)",
    }
    asked = [
        question
        for name, question in questions.items()
        if any(
            row[name] is None and (name != "dimensions" or row["reduction"] == "mean")
            for row in known
        )
    ]
    if asked:
        raise SettingsError(f"{path} does not say {', nor '.join(asked)}.")


def _point(
    path: Path, line: _Line, row: dict[str, Any], known: dict[str, Any], weight: str
) -> dict[str, Any]:
    """A row of the table: nats per image, beta on the rate."""
    dimensions = known["dimensions"]
    nats = 1 / per_nat(known["units"], dimensions or 1)
    if known["reduction"] == "mean" and known["units"] != "bits-per-dim":
        nats *= dimensions
    measured = {name: row.get(name, math.nan) * nats for name in _MEASURED}
    for name, value in measured.items():
        if math.isinf(value):
            _refuse(path, line, name, "a number that is finite in nats per image")
    beta = row.get(weight, math.nan)
    if known["convention"] == "lambda":
        beta = 1 / beta if beta > 0 else math.inf
        if math.isinf(beta):
            _refuse(path, line, weight, "above 0")
    return {
        "label": row.get("label", ""),
        "dataset": row.get("dataset", ""),
        "split": row.get("split", ""),
        "beta": beta,
        "seed": row.get("seed"),
        "dimensions": dimensions,
        "status": row.get("status", "ok"),
        **measured,
    }


def _check_direction(path: Path, name: str, curve: pandas.DataFrame) -> None:
    """Refuses points whose weight is certainly on the other term.

    Where beta weighs the rate, a larger beta makes R smaller and D larger.
    """
    # Two points may be the other way round by their noise.
    means: Any = curve.groupby("beta")[["rate", "distortion"]].mean()
    steps = means.diff()[1:]
    if len(steps) > 1 and (steps["rate"] > 0).all() and (steps["distortion"] < 0).all():
        whose = f" of {name}" if name else ""
        raise SettingsError(
            f"{path}: R rises and D falls with beta at every step{whose}, where beta is the weight"
            " of R: the weight seems to be on the other term; give the other --convention."
        )
