"""What a figure is drawn from: rows of one split, in the units of its axes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas

from ratedistortion.errors import RateDistortionError, SettingsError
from ratedistortion.table import NATS_COLUMNS
from ratedistortion.units import per_nat

SPLITS = ("train", "test")


class Inputs(NamedTuple):
    """Everything that one figure needs."""

    tables: dict[str, pandas.DataFrame]
    """Label -> the rows that did not diverge, sorted by beta and seed, in `units`."""
    factors: dict[str, float]
    """Label -> how many of `units` a nat per image is."""
    diverged: int
    """How many rows were left out because their run diverged."""
    units: str
    """Words for an axis, such as `nats per image`."""
    images: Mapping[str, Any] | None
    losses: Sequence[Mapping[str, Any]] | None
    squared: bool = False
    """Whether the distortion is a squared error, and so not in `units`."""

    def axis(self, quantity: str) -> str:
        """The label of an axis."""
        return f"{quantity} ({self.units})"

    def note(self) -> str:
        """What to say of the runs that are not drawn."""
        plural = "" if self.diverged == 1 else "s"
        return f"{self.diverged} diverged run{plural} left out" if self.diverged else ""

    def only_table(self, kind: str) -> tuple[pandas.DataFrame, float]:
        """The single table, and its factor, of a kind that draws one run directory."""
        if len(self.tables) > 1:
            raise SettingsError(f"{kind} draws one run: got {len(self.tables)}.")
        return next(iter(self.tables.values())), next(iter(self.factors.values()))


def squared_errors(inputs: Inputs) -> Inputs:
    """The same rows with the mean squared error a dimension as their distortion.

    Raises:
        SettingsError: If a table has none.
    """
    tables = {}
    for label, rows in inputs.tables.items():
        if "distortion_mse" not in rows or len(rows["distortion_mse"].dropna()) < len(rows):
            raise SettingsError(
                "distortion mse needs models with --likelihood gaussian: got"
                f" {', '.join(sorted(set(rows['likelihood'])))}."
            )
        tables[label] = rows.assign(
            distortion=rows["distortion_mse"], distortion_se=rows["distortion_mse_se"]
        )
    return inputs._replace(tables=tables, squared=True)


def gather(
    tables: pandas.DataFrame | Mapping[str, pandas.DataFrame],
    units: str,
    split: str,
    images: Mapping[str, Any] | None,
    losses: Sequence[Mapping[str, Any]] | None,
) -> Inputs:
    """Checks what `figure` was given, chooses the rows and converts them.

    Raises:
        SettingsError: If units or split are unknown, or a table has no rows of the split.
        RateDistortionError: If every run diverged.
    """
    if isinstance(tables, pandas.DataFrame):
        tables = {"": tables}
    if not tables:
        raise SettingsError("a figure needs at least one table: got none.")
    if split not in SPLITS:
        raise SettingsError(f"split must be one of {', '.join(SPLITS)}: got {split!r}.")
    kept, factors, diverged = {}, {}, 0
    for label, table in tables.items():
        rows = table.loc[table["split"] == split]
        if rows.empty:
            has = ", ".join(sorted(set(table["split"]))) or "no rows at all"
            raise SettingsError(f"the table has no rows of the split {split}: it has {has}.")
        good = rows.loc[rows["status"] == "ok"].sort_values(["beta", "seed"], ignore_index=True)
        diverged += len(rows) - len(good)
        factors[label] = per_nat(units, int(rows["dimensions"].iloc[0]))
        columns = [name for name in NATS_COLUMNS if name in good]
        good[columns] = good[columns].astype(float) * factors[label]
        kept[label] = good
    if not any(len(rows) for rows in kept.values()):
        raise RateDistortionError(f"every run of the split {split} diverged: nothing to draw.")
    words = "bits per dimension" if units == "bits-per-dim" else f"{units} per image"
    return Inputs(kept, factors, diverged, words, images, losses)
