"""What a figure is drawn from: rows of one split, in the units of its axes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas

from ratedistortion.errors import RateDistortionError, SettingsError
from ratedistortion.table.columns import NATS_COLUMNS
from ratedistortion.table.units import per_nat, unit_words

SPLITS = ("train", "test")


class Inputs(NamedTuple):
    """Everything that one figure needs."""

    tables: dict[str, pandas.DataFrame]
    """Label -> the rows whose status is ok, sorted by beta and seed, in `units`."""
    suspects: dict[str, pandas.DataFrame]
    """Label -> the suspect rows, sorted and converted too: they are shown, and part of no mean."""
    factors: dict[str, float]
    """Label -> one nat per image in `units`."""
    datasets: dict[str, str]
    """Label -> the name of the data set."""
    examples: dict[str, int]
    """Label -> N, the images of the split."""
    split: str
    diverged: int
    """How many rows were left out because their run diverged."""
    units: str
    """Words for an axis, such as `nats per image`."""
    images: Mapping[str, Any] | None
    """For the gallery, as `figure` takes them."""
    losses: Sequence[Mapping[str, Any]] | None
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
        names, counts = set(self.datasets.values()), set(self.examples.values())
        name = f"{names.pop()}, " if len(names) == 1 else ""
        count = f"{counts.pop():,} " if len(counts) == 1 else ""
        return f"{name}{count}{self.split} images"

    def named(self, label: str) -> str:
        """A label, with its data set where the tables have different ones.

        Args:
            label: Of a table.

        Returns:
            The label, or `label: data set`.
        """
        several = len(set(self.datasets.values())) > 1
        return f"{label}: {self.datasets[label]}" if several else label

    def title(self) -> list[str]:
        """Lines: what is drawn, and where there are some, the runs not drawn like the others."""
        suspect = sum(map(len, self.suspects.values()))
        note = ", ".join(
            f"{count} {word} run{'' if count == 1 else 's'} {fate}"
            for count, word, fate in (
                (suspect, "suspect", "drawn hollow"),
                (self.diverged, "diverged", "left out"),
            )
            if count
        )
        return [self.source(), note] if note else [self.source()]

    def everything(self) -> pandas.DataFrame:
        """The rows of all tables that are drawn, suspect ones last."""
        return pandas.concat([*self.tables.values(), *self.suspects.values()])

    def drawn(self) -> dict[str, tuple[pandas.DataFrame, pandas.DataFrame]]:
        """Label -> its rows that are ok and its suspect ones, where there are any."""
        pairs = {label: (rows, self.suspects[label]) for label, rows in self.tables.items()}
        return {label: pair for label, pair in pairs.items() if any(map(len, pair))}

    def only_table(self, kind: str) -> tuple[pandas.DataFrame, float]:
        """The single table of a kind that draws one run directory.

        Args:
            kind: Its name, for the error.

        Returns:
            The rows that are ok, and one nat per image in `units`.

        Raises:
            SettingsError: If there are several tables.
        """
        if len(self.tables) > 1:
            raise SettingsError(f"{kind} draws one run: got {len(self.tables)}.")
        return next(iter(self.tables.values())), next(iter(self.factors.values()))


def squared_errors(inputs: Inputs) -> Inputs:
    """The same rows with the mean squared error a dimension as their distortion.

    Args:
        inputs: Tables of models with the Gaussian likelihood.

    Returns:
        Inputs whose distortion is not in `units`.

    Raises:
        SettingsError: If a table has none.
    """

    def squared(rows: pandas.DataFrame) -> pandas.DataFrame:
        if "distortion_mse" not in rows or len(rows["distortion_mse"].dropna()) < len(rows):
            raise SettingsError(
                "distortion mse needs models with --likelihood gaussian: got"
                f" {', '.join(sorted(set(rows['likelihood'])))}."
            )
        return rows.assign(
            distortion=rows["distortion_mse"], distortion_se=rows["distortion_mse_se"]
        )

    tables, suspects = (
        {label: squared(rows) for label, rows in given.items()}
        for given in (inputs.tables, inputs.suspects)
    )
    return inputs._replace(tables=tables, suspects=suspects, squared=True)


def gather(
    tables: pandas.DataFrame | Mapping[str, pandas.DataFrame],
    units: str,
    split: str,
    images: Mapping[str, Any] | None,
    losses: Sequence[Mapping[str, Any]] | None,
) -> Inputs:
    """Checks what `figure` was given, chooses the rows and converts them.

    Args:
        tables: One table, or label -> table.
        units: nats, bits or bits-per-dim.
        split: train or test.
        images: Kept as they are.
        losses: Kept as they are.

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
    kept, suspects, factors, datasets, examples, diverged = {}, {}, {}, {}, {}, 0
    for label, table in tables.items():
        rows = table.loc[table["split"] == split]
        if rows.empty:
            has = ", ".join(sorted(set(table["split"]))) or "no rows at all"
            raise SettingsError(f"the table has no rows of the split {split}: it has {has}.")
        diverged += int((rows["status"] == "diverged").sum())
        datasets[label] = ", ".join(sorted(set(rows["dataset"])))
        examples[label] = int(rows["examples"].iloc[0])
        factors[label] = per_nat(units, int(rows["dimensions"].iloc[0]))
        columns = [name for name in NATS_COLUMNS if name in rows]
        for status, chosen in (("ok", kept), ("suspect", suspects)):
            some = rows.loc[rows["status"] == status]
            some = some.sort_values(["beta", "seed"], ignore_index=True)
            some[columns] = some[columns].astype(float) * factors[label]
            chosen[label] = some
    if not any(len(rows) for rows in (*kept.values(), *suspects.values())):
        raise RateDistortionError(f"every run of the split {split} diverged: nothing to draw.")
    return Inputs(
        tables=kept,
        suspects=suspects,
        factors=factors,
        datasets=datasets,
        examples=examples,
        split=split,
        diverged=diverged,
        units=unit_words(units),
        images=images,
        losses=losses,
    )
