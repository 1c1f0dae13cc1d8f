"""Rate, index-code information and marginal KL against beta."""

from typing import Any

import pandas
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ratedistortion.figures import style
from ratedistortion.figures.beta_scale import BetaScale
from ratedistortion.figures.inputs import Inputs, Table
from ratedistortion.figures.panels import draw_panels

# Column, label, colour, marker, size of the marker in points. R is drawn first and has the largest
# marker, so that it shows behind an equal I(n;z).
_SERIES = (
    ("rate", "rate R", style.BLUE, "s", 4.5),
    ("mutual_information", "I(n;z)", style.ORANGE, "o", 3.0),
    ("marginal_kl", "marginal KL", style.GREEN, "^", 3.0),
)


def draw(inputs: Inputs) -> Figure:
    """R = I(n;z) + marginal KL, with the bounds of I(n;z) and its ceiling log N; a panel a table.

    Args:
        inputs: One table or several.

    Returns:
        The figure, one panel a table.
    """
    return draw_panels(inputs, 1.8, inputs.units, _panel)


def _panel(axes: Axes, table: Table, scale: BetaScale) -> dict[str, Artist]:
    """Points for the runs, lines through the means over seeds, a band over all seeds' bounds."""
    rows, suspects = table.rows, table.suspects
    handles: dict[str, Artist] = {}
    marked: dict[str, Artist] = {}
    betas: Any = rows.groupby("beta")
    means = betas.mean(numeric_only=True)
    places = scale.place(means.index)
    for column, label, colour, marker, size in _SERIES:
        if not len(table.drawn()[column].dropna()):  # only bounds of I(n;z) are known
            continue
        axes.plot(places, means[column], color=colour, linewidth=0.8)
        handles[label], *_others = axes.errorbar(
            scale.place(rows["beta"]),
            rows[column],
            yerr=rows[f"{column}_se"].fillna(0),
            fmt=marker,
            color=colour,
            markersize=size,
            markeredgewidth=0.6,
            elinewidth=0.7,
        )
        if len(suspects):
            place = scale.place(suspects["beta"])
            marked["suspect run"] = style.suspects(axes, place, suspects[column], marker, colour)
    low, high = betas["mutual_information_lower"].min(), betas["mutual_information_upper"].max()
    band = axes.fill_between(places, low, high, color=style.ORANGE, alpha=0.3, linewidth=0)
    handles["bounds of I"] = band
    ceiling = table.ceiling()
    style.ceiling(axes, ceiling, "black", "--")
    saturated = rows[rows["saturated"].fillna(False).astype(bool)]
    if len(saturated):
        x, y = scale.place(saturated["beta"]), saturated["mutual_information"]
        (handles["I near log N"],) = axes.plot(
            x, y, "o", color=style.ORANGE, mfc="white", markersize=3, markeredgewidth=0.6, zorder=3
        )
    least = rows["marginal_kl"] - rows["marginal_kl_se"].fillna(0)
    others = [suspects[column] for column, *_ in _SERIES]
    low: Any = pandas.concat([least, *others]).min()
    high: Any = pandas.concat([rows["rate"], *others]).max()
    # Without numbers both are NaN, which Python's min and max leave out where it comes second.
    style.symmetric_log(axes, min(0.0, low), max(ceiling, high))
    return handles | marked
