"""What a figure is drawn from: rows of one split, in the units of its axes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas

from ratedistortion.errors import RateDistortionError, SettingsError
from ratedistortion.table.columns import NATS_COLUMNS
from ratedistortion.table.units import per_nat, unit_words

SPLITS = ("train", "test")


class Table(NamedTuple):
    """One split of a table, sorted by beta and seed.

    All but the target rate is in the units of the axes.
    """

    rows: pandas.DataFrame
    """The rows whose status is ok."""
    suspects: pandas.DataFrame
    """The suspect rows: they are shown, and part of no mean."""
    diverged: int
    """How many rows were left out because their run diverged."""
    dataset: str
    """The name of the data set."""
    examples: int
    """N, the images of the split."""
    factor: float
    """One nat per image in the units of the axes."""

    def drawn(self) -> pandas.DataFrame:
        """The rows that are drawn, suspect ones last."""
        return pandas.concat([self.rows, self.suspects])

    def settings(self) -> dict[str, Any]:
        """What the sweep was asked to do; empty if the table does not say it."""
        return self.rows.attrs.get("ratedistortion", {}).get("settings", {})

    def unfinished(self) -> str:
        """How much of the sweep there is, such as `3 of 6 chunks`; empty if it is finished."""
        return self.rows.attrs.get("ratedistortion", {}).get("unfinished", "")

    def ceiling(self) -> float:
        """log N, the most that I(n;z) can be, in the units of the axes."""
        return float(self.drawn()["log_examples"].iloc[0])


class Inputs(NamedTuple):
    """Everything that one figure needs."""

    tables: dict[str, Table]
    """Label -> table."""
    split: str
    units: str
    """Words for an axis, such as `nats per image`."""
    images: Mapping[str, Any] | None = None
    """For the gallery, as `figure` takes them."""
    losses: Sequence[Mapping[str, Any]] | None = None
    """For the training curves, as `figure` takes them."""
    squared: bool = False
    """Whether the distortion is a squared error, and so not in `units`."""

    def axis(self, quantity: str) -> str:
        """The label of an axis.

        Args:
            quantity: Its name.

        Returns:
            The name with its unit.
        """
        return f"{quantity} ({self.units})"

    def source(self) -> str:
        """The data set and the images of the split, as far as all tables have the same."""
        names = {table.dataset for table in self.tables.values()}
        counts = {table.examples for table in self.tables.values()}
        name = f"{names.pop()}, " if len(names) == 1 else ""
        count = f"{counts.pop():,} " if len(counts) == 1 else ""
        return f"{name}{count}{self.split} images"

    def several_datasets(self) -> bool:
        """Whether the tables have different data sets."""
        return len({table.dataset for table in self.tables.values()}) > 1

    def named(self, label: str) -> str:
        """A label, with its data set where the tables have different ones.

        Args:
            label: Of a table.

        Returns:
            The label, or `label: data set`.
        """
        return f"{label}: {self.tables[label].dataset}" if self.several_datasets() else label

    def title(self) -> list[str]:
        """Lines: what is drawn, and where there are some, the runs not drawn like the others."""
        counts = (
            (sum(len(table.suspects) for table in self.tables.values()), "suspect", "drawn hollow"),
            (sum(table.diverged for table in self.tables.values()), "diverged", "left out"),
        )
        notes = [f"{n} {word} run{'s' * (n > 1)} {fate}" for n, word, fate in counts if n]
        notes += [
            f"so far {text}" for table in self.tables.values() if (text := table.unfinished())
        ]
        return [self.source(), ", ".join(notes)] if notes else [self.source()]

    def everything(self) -> pandas.DataFrame:
        """The rows of all tables that are drawn."""
        return pandas.concat([table.drawn() for table in self.tables.values()])

    def only_table(self, kind: str) -> Table:
        """The single table of a kind that draws one run directory.

        Args:
            kind: Its name, for the error.

        Raises:
            SettingsError: If there are several tables.
        """
        if len(self.tables) > 1:
            raise SettingsError(f"{kind} draws one run: got {len(self.tables)}.")
        return next(iter(self.tables.values()))


def squared_errors(inputs: Inputs) -> Inputs:
    """The same rows with the mean squared error a dimension as their distortion.

    Args:
        inputs: Tables of models with the Gaussian likelihood.

    Returns:
        Inputs whose distortion is not in `units`.

    Raises:
        SettingsError: If a table has none.
    """
    tables = {}
    for label, table in inputs.tables.items():
        drawn = table.drawn()
        if "distortion_mse" not in drawn or drawn["distortion_mse"].hasnans:
            raise SettingsError(
                "distortion mse needs models with --likelihood gaussian: got"
                f" {', '.join(sorted(set(drawn['likelihood'])))}."
            )
        rows, suspects = (
            part.assign(distortion=part["distortion_mse"], distortion_se=part["distortion_mse_se"])
            for part in (table.rows, table.suspects)
        )
        tables[label] = table._replace(rows=rows, suspects=suspects)
    return inputs._replace(tables=tables, squared=True)


def gather(
    tables: pandas.DataFrame | Mapping[str, pandas.DataFrame],
    units: str,
    split: str,
) -> Inputs:
    """Checks what `figure` was given, chooses the rows and converts them.

    Args:
        tables: One table, or label -> table.
        units: nats, bits or bits-per-dim.
        split: train or test.

    Returns:
        The rows of the split, without those that diverged, in `units`.

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
    found = {label: _table(table, units, split) for label, table in tables.items()}
    inputs = Inputs(found, split, unit_words(units))
    if inputs.everything().empty:
        raise RateDistortionError(f"every run of the split {split} diverged: nothing to draw.")
    return inputs


def _table(table: pandas.DataFrame, units: str, split: str) -> Table:
    rows = table.loc[table["split"] == split].sort_values(["beta", "seed"], ignore_index=True)
    if rows.empty:
        has = ", ".join(sorted(set(table["split"]))) or "no rows at all"
        raise SettingsError(f"the table has no rows of the split {split}: it has {has}.")
    factor = per_nat(units, int(rows["dimensions"].iloc[0]))
    # The target rate stays in nats: it tells which images and losses belong to a row.
    columns = [name for name in NATS_COLUMNS if name in rows and name != "target_rate"]
    rows[columns] = rows[columns].astype(float) * factor
    ok, suspects, diverged = (
        rows.loc[rows["status"] == status] for status in ("ok", "suspect", "diverged")
    )
    dataset = ", ".join(sorted(set(rows["dataset"])))
    return Table(ok, suspects, len(diverged), dataset, int(rows["examples"].iloc[0]), factor)
