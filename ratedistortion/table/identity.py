"""What tells the runs of one sweep apart: their target rate or else their beta, and their seed.

Runs of a target rate all start from one beta, and those whose target is out of reach end at one,
so beta alone does not name them.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas

STATUSES = ("ok", "diverged", "suspect")  # the later counts more: exit code 8 before 3


def asked_for(rows: "pandas.DataFrame") -> "pandas.Series":
    """What was asked of the run of each row: its target rate, or else its beta.

    Args:
        rows: With the column `beta`; `target_rate` may be absent, as in older tables, or missing
            in some rows.

    Returns:
        Rates in the unit of the rows, or betas, with the index of the rows.
    """
    beta = rows["beta"]
    found = rows["target_rate"].astype(float).fillna(beta) if "target_rate" in rows else beta
    return cast("pandas.Series", found)


def run_key(run: Mapping[str, Any]) -> tuple[float, int]:
    """The target rate or else the beta of one run, and its seed: no other run has the same pair.

    Args:
        run: A row, or an event of the log, with `beta` and `seed`; `target_rate` may be absent,
            None or NaN.

    Returns:
        The pair, as `asked_for` and the column `seed` of the same run's row have it.

    Raises:
        KeyError: If `beta` or `seed` is absent.
        TypeError, ValueError, OverflowError: If one of the values is not a number.
    """
    beta, target = float(run["beta"]), run.get("target_rate")
    asked = beta if target is None or math.isnan(target) else float(target)
    return asked, int(run["seed"])


def worst_status(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[float, int], str]:
    """The status of every run: one of its splits may be diverged or suspect, and the other not.

    Args:
        rows: Of a table, as mappings.

    Returns:
        `run_key` -> the word that counts for the exit code.
    """
    worst: dict[tuple[float, int], str] = {}
    for row in rows:
        run = run_key(row)
        worst[run] = max(worst.get(run, "ok"), row["status"], key=STATUSES.index)
    return worst


def row_names(runs: Iterable[Any]) -> list[tuple[float, int, str]]:
    """Names the rows of a table, in their order.

    Args:
        runs: The runs of the table, with `beta`, `target_rate` and `seed` as attributes.

    Returns:
        Target rate or else beta, seed and split of each row: no other row has the same three.
    """
    return [(*run_key(vars(run)), split) for run in runs for split in ("train", "test")]


def row_name(row: dict[str, Any]) -> tuple[float, int, str]:
    """Names one row of a table.

    Args:
        row: With the columns `beta`, `target_rate`, `seed` and `split`.

    Returns:
        Target rate or else beta, seed and split.

    Raises:
        KeyError: If one of the columns is absent.
        TypeError, ValueError, OverflowError: If a value is not a number.
    """
    return *run_key(row), row["split"]
