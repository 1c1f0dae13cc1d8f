"""What was measured, in long form: one row per number, printed, and kept as Parquet."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas
from timing import spread


class Row(NamedTuple):
    """One quantity of one competitor: the median over rounds, and the ends."""

    part: str
    case: str
    competitor: str
    quantity: str
    unit: str
    median: float
    lowest: float
    highest: float
    rounds: int


def row(
    part: str, case: str, competitor: str, quantity: str, unit: str, values: Sequence[float]
) -> Row:
    """The row of a quantity that was measured in several rounds, or once."""
    return Row(part, case, competitor, quantity, unit, *spread(values))


def save(rows: Sequence[Row], about: Mapping[str, Any], path: Path) -> None:
    """Writes all rows, each with the machine and the versions beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pandas.DataFrame(rows, columns=Row._fields).assign(**about).to_parquet(path, index=False)


def plain(rows: Iterable[Row]) -> str:
    """One line per number, for the terminal."""
    cells = [("case", "competitor", "quantity", "median", "lowest", "highest", "unit")]
    for r in rows:
        ends = ("", "") if r.rounds == 1 else (number(r.lowest), number(r.highest))
        cells.append((r.case, r.competitor, r.quantity, number(r.median), *ends, r.unit))
    return aligned(cells, left={0, 1, 2, 6})


def wide(rows: Sequence[Row], part: str, columns: Mapping[str, str]) -> list[tuple[str, ...]]:
    """One line per case and competitor of a part, with a header.

    Args:
        rows: All rows.
        part: Which of them.
        columns: Quantity -> heading; a number that was not measured is a dash.
    """
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for r in rows:
        if r.part == part:
            found.setdefault((r.case, r.competitor), {})[r.quantity] = r
    lines = [("case", "competitor", *columns.values())]
    for (case, competitor), line in found.items():
        if line.keys() & columns.keys():
            cells = (_cell(line[name]) if name in line else "-" for name in columns)
            lines.append((case, competitor, *cells))
    return lines


def aligned(lines: Sequence[Sequence[str]], left: set[int]) -> str:
    """Columns side by side, these to the left and the others to the right."""
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n in left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table, for a README."""
    rule = ["---" if n < 2 else "---:" for n in range(len(lines[0]))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(r: Row) -> str:
    if r.unit == "share":
        return f"{100 * r.median:.0f} %"
    ends = f" ({number(r.lowest)}–{number(r.highest)})" if r.unit == "ms" and r.rounds > 1 else ""
    return number(r.median) + ends
