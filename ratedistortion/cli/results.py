"""The table as the terminal shows it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ratedistortion.cli.numbers import aligned, number, with_error
from ratedistortion.errors import SettingsError
from ratedistortion.table.units import per_nat, unit_words
from ratedistortion.text import printable

if TYPE_CHECKING:
    import pandas

    from ratedistortion.verify import Check

_SHOWN = {
    "rate": "R",
    "distortion": "D",
    "negative_elbo": "-ELBO",
    "mutual_information": "I(n;z)",
    "marginal_kl": "KL(q|p)",
}
# A target rate is missed where R is farther from it: in nats, shares of it, and errors.
_NATS, _SHARE, _ERRORS = 0.05, 0.1, 3
_NOTE = 60  # characters of the last column; the whole text is in the table
_LISTED = 3  # suspect rows that one line names


def results(frame: "pandas.DataFrame", units: str, split: str = "test") -> str:
    """One line per run, measured on one split: value and standard error.

    Where rates were asked for, these too, and a word where R is not near them. A suspect run has
    its numbers, and the checks that they failed.

    Args:
        frame: The table, in nats.
        units: Of the printed numbers.
        split: The images that they are of.

    Returns:
        Lines without a newline at the end.
    """
    digits = 4 if units == "bits-per-dim" else 2
    frame = frame.loc[frame["split"] == split]
    rows = frame.to_dict("records")
    symbols = [f"{symbol:>{9 + digits}}" for symbol in _SHOWN.values()]
    asked = ["target"] if set(frame["target_rate"].dropna()) else []
    named = ["label"] if "label" in frame and set(frame["label"].dropna()) else []
    lines = [[*named, *asked, "beta", "seed", *symbols, ""]]
    for row in rows:
        factor = _factor(row, units)
        cells = [
            "-"
            if row["status"] == "diverged"
            else with_error(row[name] * factor, row[f"{name}_se"] * factor, digits)
            for name in _SHOWN
        ]
        label = row.get("label")
        labels = [printable(label, _NOTE) if isinstance(label, str) else "-" for _ in named]
        targets = [number(row["target_rate"] * factor, digits) for _ in asked]
        beta = "-" if math.isnan(row["beta"]) else f"{row['beta']:g}"
        note = printable(_note(row), _NOTE)
        lines.append([*labels, *targets, beta, f"{row['seed']}", *cells, note])
    title = f"{split} split, {unit_words(units)}"
    return "\n".join([title, *aligned(lines, words=1), *_explained(rows, units, digits)])


def _factor(row: dict[str, Any], units: str) -> float:
    """One nat per image in these units; of exported posteriors the dimensions may be unknown."""
    known = isinstance(row["dimensions"], int)
    if units == "bits-per-dim" and not known:
        raise SettingsError("bits-per-dim need the dimensions of an image: give --dimensions N.")
    return per_nat(units, row["dimensions"] if known else 1)


def _explained(rows: list[dict[str, Any]], units: str, digits: int) -> list[str]:
    """What the word saturated means, if it was printed."""
    for row in rows:
        if row["saturated"] is True and row["status"] == "ok":
            ceiling = math.log(row["examples"]) * _factor(row, units)
            return [
                f"saturated: I(n;z) is near its ceiling log N = {number(ceiling, digits)}, so"
                f" {row['examples']:,} images cannot show what more the code tells about images of"
                " the whole population; that is at most R."
            ]
    return []


def _note(row: dict[str, Any]) -> str:
    if row["status"] == "diverged":
        reason = row.get("failed_checks")  # older tables have none
        said = f": {reason}" if isinstance(reason, str) else ""
        return f"diverged at step {row['diverged_at_step']}{said}"
    if row["status"] == "suspect":
        return f"suspect: {row['failed_checks']}"
    error = abs(row["rate"] - row["target_rate"])
    missed = error > max(_NATS, _SHARE * row["target_rate"], _ERRORS * row["rate_se"])
    notes = ["target missed"] * missed + ["saturated"] * (row["saturated"] is True)
    return ", ".join(notes)


def suspects(frame: "pandas.DataFrame") -> str:
    """One line that says which rows not to believe, why, and what to do.

    Args:
        frame: The table of a sweep, with its summary in `attrs`.

    Returns:
        The line, which names at most three rows.
    """
    rows = frame.loc[frame["status"] == "suspect"].to_dict("records")
    named = [
        f"beta {row['beta']:g}, seed {row['seed']}, {row['split']} ({row['failed_checks']})"
        for row in rows[:_LISTED]
    ]
    more = [f"{len(rows) - _LISTED} more rows"] if len(rows) > _LISTED else []
    summary = frame.attrs["summary"]
    return printable(
        f"Suspect: {summary['suspect']} of {summary['runs']} runs: numbers contradict each other:"
        f" {', '.join(named + more)}. Do not use them: see the column failed_checks, and run"
        " `rd-sweep --verify` to check this machine."
    )


def checks(done: "Sequence[Check]") -> str:
    """One line per check: truth, measured, error, tolerance and verdict; then the count.

    Args:
        done: Checks of `rd-sweep --verify`.

    Returns:
        Lines without a newline at the end, a header first.
    """
    lines = [f"{'quantity':44} {'truth':>9} {'measured':>9} {'error':>9} {'allowed':>8}"]
    for check in done:
        numbers = f"{check.truth:9.5f} {check.measured:9.5f} {check.measured - check.truth:+z9.5f}"
        verdict = "ok" if check.passed else "FAILED"
        lines.append(f"{check.quantity:44} {numbers} {check.tolerance:8.5f}  {verdict}")
    failed = [check.quantity for check in done if not check.passed]
    summary = f"{len(done) - len(failed)} of {len(done)} checks passed"
    return "\n".join([*lines, summary + (f"; failed: {', '.join(failed)}" if failed else "")])
