"""How every figure looks: sizes, colours, ticks."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import matplotlib
import matplotlib.style
import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ratedistortion.text import printable

WIDTH = 3.4  # of a figure, in inches: one column of a two-column page
_LABEL_LENGTH = 48  # of a label in the legend, in characters
_LEGEND_WIDTH = 60  # of its columns together, in characters; 6 of each are its handle and a gap
_TITLE_LENGTH = 56  # of a line of a title, in characters

# Okabe and Ito's colours, which people with every common colour blindness can tell apart.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9")
# One marker fewer than colours: so 30 tables are drawn before a pair of both repeats.
MARKERS = "osD^v"
GREY = "#808080"

_SETTINGS = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # many journals refuse Type 3 fonts
    "svg.hashsalt": "ratedistortion",
}


def context() -> AbstractContextManager:
    """Our look alone: a user's matplotlibrc does not change the bytes of a figure.

    Returns:
        A context; figures are made and saved inside of it.
    """
    return matplotlib.style.context(_SETTINGS, after_reset=True)


def new_figure(height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure one column wide, with panels one above the other that share their x axis.

    Args:
        height: In inches.
        rows: The number of panels.

    Returns:
        The figure and its panels, from top to bottom.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0])


def one_line(text: str, length: int = _TITLE_LENGTH) -> str:
    """Text from outside, such as a path, for one line of a figure.

    Args:
        text: Any text.
        length: How long it may be, in characters.

    Returns:
        The text, or its end, which tells paths apart; a question mark stands for each character
        that cannot be printed.
    """
    text = printable(text)
    return text if len(text) <= length else f"…{text[1 - length :]}"


def legend(figure: Figure, title: Sequence[str], *columns: Mapping[str, Artist]) -> None:
    """A title and a legend above the panels; the figure grows for them.

    Args:
        figure: Of `new_figure`.
        title: Lines that say what is drawn.
        columns: Each label -> what it explains; a long label is cut. Several columns stay as
            they are if they fit side by side; their entries are spread over as many as fit if not.
    """
    named = [
        [(one_line(label, _LABEL_LENGTH), column[label]) for label in column] for column in columns
    ]
    widths = [max((len(label) for label, _ in column), default=0) + 6 for column in named]
    side_by_side = len(named) > 1 and sum(widths) <= _LEGEND_WIDTH
    rows = max(map(len, named)) if side_by_side else 0
    blank = ("", Line2D([], [], linestyle=""))
    entries = [pair for column in named for pair in column + [blank] * (rows - len(column))]
    count = len(named) if side_by_side else min(max(_LEGEND_WIDTH // max(widths), 1), 3)
    rows = math.ceil(len(entries) / count)
    figure.set_figheight(figure.get_figheight() + 0.14 * (len(title) + rows))
    made = figure.legend(
        [handle for _, handle in entries],
        [label for label, _ in entries],
        loc="outside upper left",
        ncols=count,
        title="\n".join(map(one_line, title)),
        alignment="left",
    )
    for text in (made.get_title(), *made.get_texts()):
        text.set_parse_math(False)  # a dollar in the name of a file is a dollar


def suspects(axes: Axes, x: Float[np.ndarray, " runs"], y: Any, marker: str, colour: str) -> Artist:
    """Hollow markers, with a plus in them that tells them from saturated ones.

    Args:
        axes: The panel.
        x: Places of the runs.
        y: A column of the table, one value a run.
        marker: Of matplotlib.
        colour: Of the markers' edges.

    Returns:
        The pluses, for the legend.
    """
    axes.plot(x, y, marker, color=colour, mfc="white", markersize=5, markeredgewidth=0.8, zorder=4)
    (plus,) = axes.plot(x, y, "k+", markersize=5, markeredgewidth=0.5, zorder=4)
    return plus


def ceiling(axes: Axes, value: float, colour: str, line: Literal[":", "--"]) -> None:
    """The line of log N, with its value at its right end.

    Args:
        axes: The panel.
        value: log N, in the units of the axis.
        colour: Of the line.
        line: Of matplotlib.
    """
    axes.axhline(value, color=colour, linestyle=line, linewidth=0.7)
    right = axes.get_yaxis_transform()
    text = axes.annotate(f"log N\n{value:#.3g}", (1, value), (2, 0), right, "offset points")
    text.set(va="center", fontsize=7, linespacing=1.1, annotation_clip=False)


def log_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers for a logarithmic axis; fewer where too few lie between.

    Args:
        low: Least value of the axis, positive.
        high: Largest value of the axis.

    Returns:
        Ticks in rising order; `low` alone where there is no round number.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), range(1, 10), [d / 10 for d in range(10, 100)]):
        found = [d * 10.0**e for e in decades for d in digits]
        ticks = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
        if len(ticks) >= 3:
            break
    return ticks[:: math.ceil(len(ticks) / 6)] if ticks else [low]


def logarithmic(axes: Axes, low: float, high: float) -> None:
    """Makes the y axis logarithmic.

    Args:
        axes: The panel.
        low: Lower limit, positive.
        high: Upper limit.
    """
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_ylim(low, high)
    ticks = log_ticks(low, high)
    axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])


def symmetric_log(axes: Axes, low: float, high: float) -> None:
    """Makes the y axis logarithmic over the last decades, and linear below them.

    Estimates near 0 may be negative, and a logarithmic axis has no place for them.

    Args:
        axes: The panel.
        low: Least value shown, at most 0.
        high: Largest value shown, positive.
    """
    linear = 10.0 ** math.floor(math.log10(high / 20))
    axes.set_yscale("symlog", linthresh=linear, linscale=0.5)
    for digits in ((1, 2, 5), (1, 3)):
        found = [d * linear * 10.0**e for e in range(3) for d in digits]
        ticks = [0.0, *(tick for tick in found if tick <= 1.4 * high)]
        if len(ticks) <= 7:  # more would stand too close in a panel of two inches
            break
    axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(low - 0.15 * linear, 1.4 * high)
