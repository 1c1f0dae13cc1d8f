"""The kinds of figures, and the one function that draws any of them."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ratedistortion.errors import SettingsError

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from ratedistortion.figures.inputs import Inputs


def figure(
    tables: "pandas.DataFrame | Mapping[str, pandas.DataFrame]",
    kind: str = "rate-distortion",
    units: str = "nats",
    split: str = "test",
    images: "Mapping[str, Any] | None" = None,
    losses: "Sequence[Mapping[str, Any]] | None" = None,
    distortion: str = "nll",
) -> "Figure":
    """Draws tables of sweeps, at the width of one column of a paper.

    Args:
        tables: One table, or label -> table to draw several runs on one plot. Points of a CSV file
            are one curve for each label that they have.
        kind: A name in `FIGURES`.
        units: nats, bits or bits-per-dim, on axes and labels.
        split: train or test: the rows to draw.
        images: For the gallery: `originals` (k, H, W, C) and `reconstructions` and `samples`
            (runs, k, H, W, C), in [0, 1], with `beta` and `seed` (runs,).
        losses: For the training curves, one mapping a run: `beta`, `seed`, and `steps`,
            `distortion` and `rate` of equal lengths, in nats per image.
        distortion: nll, or mse for the squared error a dimension of a Gaussian model, against R.

    Returns:
        A matplotlib Figure that belongs to no window.

    Raises:
        SettingsError: If a name is unknown, the split has no rows, or what the kind needs is
            missing.
        RateDistortionError: If every run diverged.
    """
    from ratedistortion.figures import style

    given = _gathered(tables, kind, units, split, distortion)
    with style.context():
        return FIGURES[kind](given._replace(images=images, losses=losses))


def numbers(
    tables: "pandas.DataFrame | Mapping[str, pandas.DataFrame]",
    kind: str = "rate-distortion",
    units: str = "nats",
    split: str = "test",
    distortion: str = "nll",
) -> "pandas.DataFrame":
    """The numbers of a figure: one row a point that `figure` draws of the same arguments.

    Args:
        tables: As for `figure`.
        kind: A name in `NUMBERS`.
        units: As for `figure`.
        split: As for `figure`.
        distortion: As for `figure`.

    Returns:
        Columns that `ratedistortion.read` understands in a CSV file, with numbers in `units`; for
        the kind information also I(n;z), its bounds and the marginal KL.

    Raises:
        SettingsError: As of `figure`, or if the kind has no numbers to write.
        RateDistortionError: As of `figure`.
    """
    check_numbers(kind)
    from ratedistortion.figures.numbers import collect

    return collect(_gathered(tables, kind, units, split, distortion), kind, units)


def check_numbers(kind: str) -> None:
    """Refuses a kind whose numbers are not written to a CSV file.

    Args:
        kind: A name in `FIGURES`, or data.

    Raises:
        SettingsError: If it is none of `NUMBERS`.
    """
    if kind not in NUMBERS:
        raise SettingsError(
            f"a CSV file has the numbers of kind {' or '.join(NUMBERS)}: got {kind}."
        )


def check_points(kind: str) -> None:
    """Refuses a kind that needs more of a model than R and D.

    Args:
        kind: A name in `FIGURES`, or data.

    Raises:
        SettingsError: If points of a CSV file cannot be drawn in it.
    """
    if kind != "rate-distortion":
        raise SettingsError(
            f"points of a CSV file are drawn in kind rate-distortion only: got {kind}."
        )


def _gathered(tables: Any, kind: str, units: str, split: str, distortion: str) -> "Inputs":
    """Checks the arguments of a figure, and chooses and converts its rows."""
    from ratedistortion.figures import inputs

    if kind not in FIGURES:
        raise SettingsError(f"kind must be one of {', '.join(FIGURES)}: got {kind!r}.")
    if distortion not in DISTORTIONS:
        raise SettingsError(
            f"distortion must be one of {', '.join(DISTORTIONS)}: got {distortion!r}."
        )
    given = inputs.gather(tables, units, split)
    if not all(table.is_measured() for table in given.tables.values()):
        check_points(kind)
    if kind in ("rate-distortion", "gallery", "training") and distortion == "nll":
        inputs.need_distortion(given)
    if distortion == "mse":
        if kind != "rate-distortion":
            raise SettingsError(f"distortion mse is drawn against R only: got kind {kind!r}.")
        given = inputs.squared_errors(given)
    return given


def data_figure(preview: "Mapping[str, Any]", description: str) -> "Figure":
    """Draws the data of a sweep as its models see them; it needs no table.

    Args:
        preview: Arrays, as `ratedistortion.run_directory.npz_files.read_data` gives them.
        description: The line that says how the data were read.

    Returns:
        A matplotlib Figure that belongs to no window.
    """
    from ratedistortion.figures.data import draw_data

    return draw_data(preview, description)


def _late(kind: str) -> "Callable[[Inputs], Figure]":
    """A kind whose file is imported, and with it matplotlib, only when it draws."""
    module = f"ratedistortion.figures.{kind.replace('-', '_')}"
    return lambda given: importlib.import_module(module).draw(given)


DISTORTIONS = ("nll", "mse")
NUMBERS = ("rate-distortion", "information")
FIGURES = {
    kind: _late(kind)
    for kind in ("rate-distortion", "information", "bounds", "gallery", "training")
}
