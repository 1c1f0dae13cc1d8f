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
    """The name of the data set; empty if the table does not say it."""
    examples: int | None
    """N, the images of the split; None if the table does not say it."""
    factor: float
    """One nat per image in the units of the axes."""

    def drawn(self) -> pandas.DataFrame:
        """The rows that are drawn, suspect ones last."""
        return pandas.concat([self.rows, self.suspects])

    def is_measured(self) -> bool:
        """Whether a model was measured for it: points of a CSV file have R and D alone."""
        return "mutual_information" in self.rows

    def settings(self) -> dict[str, Any]:
        """What the sweep was asked to do; empty if the table does not say it."""
        return self.rows.attrs.get("ratedistortion", {}).get("settings", {})

    def unfinished(self) -> str:
        """How much of the sweep there is, such as `3 of 6 chunks`; empty if it is finished."""
        return self.rows.attrs.get("ratedistortion", {}).get("unfinished", "")

    def likelihood_scales(self) -> tuple[float, float] | None:
        """The least and the largest scale of the likelihood where it is learned, else None."""
        if "likelihood_scale" not in self.rows:
            return None
        found = set(self.rows["likelihood_scale"].dropna().tolist())
        learned = self.settings().get("likelihood_scale") == "learned" or len(found) > 1
        return (min(found), max(found)) if found and learned else None

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
        """The data set and the images of the split, as far as all tables that say it agree."""
        names = self._datasets()
        counts = {table.examples for table in self.tables.values()} - {None}
        name = f"{names.pop()}, " if len(names) == 1 else ""
        count = f"{counts.pop():,} " if len(counts) == 1 else ""
        if not any((table.drawn()["split"] == self.split).any() for table in self.tables.values()):
            return name.removesuffix(", ")
        return f"{name}{count}{self.split} images"

    def _datasets(self) -> set[str]:
        return {table.dataset for table in self.tables.values()} - {""}

    def several_datasets(self) -> bool:
        """Whether the tables have different data sets."""
        return len(self._datasets()) > 1

    def named(self, label: str) -> str:
        """A label, with its data set where the tables have different ones.

        Args:
            label: Of a table.

        Returns:
            The label, or `label: data set`.
        """
        dataset = self.tables[label].dataset
        return f"{label}: {dataset}" if dataset and self.several_datasets() else label

    def title(self) -> list[str]:
        """Lines: what is drawn, and notes on suspect, diverged and unfinished runs."""
        counts = (
            (sum(len(table.suspects) for table in self.tables.values()), "suspect", "drawn hollow"),
            (sum(table.diverged for table in self.tables.values()), "diverged", "left out"),
        )
        notes = [f"{n} {word} run{'s' * (n > 1)} {fate}" for n, word, fate in counts if n]
        notes += [
            f"so far {text}" for table in self.tables.values() if (text := table.unfinished())
        ]
        scales = [table.likelihood_scales() for table in self.tables.values()]
        if not self.squared and (learned := [pair for pair in scales if pair]):
            low, high = min(pair[0] for pair in learned), max(pair[1] for pair in learned)
            notes.append(f"D moves with the likelihood's scale, {low:.2g} to {high:.2g}")
        if others := sum(not table.is_measured() for table in self.tables.values()):
            notes.append(f"{others} curve{'s' * (others > 1)} from CSV files")
        return [line for line in (self.source(), ", ".join(notes)) if line]

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


def need_distortion(inputs: Inputs) -> None:
    """Refuses tables of exported posteriors whose distortion nobody knows.

    Args:
        inputs: Of a figure or a summary that shows D.

    Raises:
        SettingsError: If a row that would be shown has none.
    """
    for label, table in inputs.tables.items():
        if bool(table.drawn()["distortion"].isna().to_numpy().any()):
            raise SettingsError(
                f"{label or 'the table'} has points without a distortion: --kind information draws"
                " what is there."
            )


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
        if not table.is_measured():
            raise SettingsError(f"distortion mse: {label} is of a CSV file, which has none.")
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
        tables: One table, or label -> table. A table with a column `label` is one for each label.
        units: nats, bits or bits-per-dim.
        split: train or test. Rows that say no split belong to both.

    Returns:
        The rows of the split, without those that diverged, in `units`.

    Raises:
        SettingsError: If units or split are unknown, a table has no rows of the split, two have
            one label, or the units need a number of dimensions that a table does not say.
        RateDistortionError: If every run diverged.
    """
    if isinstance(tables, pandas.DataFrame):
        tables = {"": tables}
    if not tables:
        raise SettingsError("a figure needs at least one table: got none.")
    if split not in SPLITS:
        raise SettingsError(f"split must be one of {', '.join(SPLITS)}: got {split!r}.")
    found = {label: _table(table, units, split) for label, table in _by_label(tables).items()}
    inputs = Inputs(found, split, unit_words(units))
    if inputs.everything().empty:
        raise RateDistortionError(f"every run of the split {split} diverged: nothing to draw.")
    return inputs


def _by_label(tables: Mapping[str, pandas.DataFrame]) -> dict[str, pandas.DataFrame]:
    """One table for each label; rows without one have that of their table."""
    found = {}
    for name, table in tables.items():
        own = table["label"].fillna("") if "label" in table else pandas.Series("", table.index)
        for label in own.unique():
            shown = label or name
            shown = f"{shown} ({name})" if shown in found else shown
            if shown in found:
                raise SettingsError(f"two curves are called {shown!r}: change a label.")
            found[shown] = table.loc[own == label]
    return found


def _table(table: pandas.DataFrame, units: str, split: str) -> Table:
    of_split = table["split"].isin([split, ""])
    rows = table.loc[of_split].sort_values(["beta", "seed"], ignore_index=True)
    if rows.empty:
        has = ", ".join(sorted(set(table["split"]))) or "no rows at all"
        raise SettingsError(f"the table has no rows of the split {split}: it has {has}.")
    factor = per_nat(units, _dimensions(rows, units))
    # The target rate stays in nats: it tells which images and losses belong to a row.
    columns = [name for name in NATS_COLUMNS if name in rows and name != "target_rate"]
    rows[columns] = rows[columns].astype(float) * factor
    ok, suspects, diverged = (
        rows.loc[rows["status"] == status] for status in ("ok", "suspect", "diverged")
    )
    dataset = ", ".join(sorted(set(rows["dataset"])))
    examples = int(rows["examples"].iloc[0]) if "examples" in rows else None
    return Table(ok, suspects, len(diverged), dataset, examples, factor)


def _dimensions(rows: pandas.DataFrame, units: str) -> int:
    """Of an image; 1 where nobody says them and nothing depends on them."""
    found = rows["dimensions"].unique()
    if units != "bits-per-dim":
        return 1
    if len(found) > 1 or pandas.isna(found[0]):
        raise SettingsError(
            "bits-per-dim need one number of dimensions for each curve: give --dimensions N, or a"
            " column dimensions."
        )
    return int(found[0])
