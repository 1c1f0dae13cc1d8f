"""How every figure looks: sizes, colours, ticks."""

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_hex
from matplotlib.figure import Figure

WIDTH = 3.4  # inches: one column of a two-column page

# Okabe and Ito's colours, which stay apart under every common colour blindness.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9")
MARKERS = "osD^v"  # one fewer than the colours, so that their pairs come round late
GREY = "#808080"

# Without viridis's last tenth: its yellow cannot be seen on white.
BETA_COLOURS = LinearSegmentedColormap.from_list(
    "beta", matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256))
)

_SETTINGS = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
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
    """Our look alone: a user's matplotlibrc does not change the bytes of a figure."""
    return matplotlib.style.context(_SETTINGS, after_reset=True)


def new_figure(height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure one column wide, with panels one above the other that share their x axis."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0])


def legend(figure: Figure, handles: Mapping[str, Artist]) -> None:
    """Label -> handle above the panels, in as many columns as fit; the figure grows to hold it."""
    # The end of a long label tells it from the others: it is a path.
    labels = [label if len(label) <= 48 else f"…{label[-47:]}" for label in handles]
    columns = min(max(60 // (max(map(len, labels)) + 6), 1), 3)
    figure.set_figheight(figure.get_figheight() + 0.14 * math.ceil(len(labels) / columns))
    figure.legend(handles.values(), labels, loc="outside upper left", ncols=columns)


def suspects(axes: Axes, x: Float[np.ndarray, " runs"], y: Any, marker: str, colour: str) -> Artist:
    """Hollow markers, and the plus in them that tells them from saturated ones; y is a column."""
    axes.plot(
        *(x, y, marker),
        color=colour,
        markerfacecolor="white",
        markersize=5,
        markeredgewidth=0.8,
        zorder=4,
    )
    (plus,) = axes.plot(x, y, "k+", markersize=5, markeredgewidth=0.5, zorder=4)
    return plus


def log_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers between two positive ones, for a logarithmic axis."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
        found = [d * 10.0**e for e in range(first, last + 1) for d in digits]
        ticks = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
        if len(ticks) >= 3:
            break
    return ticks[:: math.ceil(len(ticks) / 6)] if ticks else [low]


def symmetric_log(axes: Axes, low: float, high: float) -> None:
    """Logarithmic over the last decades, linear below: estimates near 0 may be negative."""
    linear = 10.0 ** math.floor(math.log10(high / 20))
    axes.set_yscale("symlog", linthresh=linear, linscale=0.5)
    ticks = [tick for tick in (0.0, *(linear * 10.0 ** np.arange(4))) if tick <= 1.4 * high]
    axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(low - 0.15 * linear, 1.4 * high)


class BetaScale:
    """Where each beta lies on a logarithmic axis or colour bar; 0 lies left of the others."""

    def __init__(self, betas: Iterable[float]) -> None:
        values = sorted(set(betas))
        positive = [beta for beta in values if beta > 0] or [1.0]
        low, high = positive[0], positive[-1]
        self._zero = low / max(3.0, (high / low) ** 0.15)
        self.ticks = log_ticks(low, high)
        self.labels = [f"{tick:g}" for tick in self.ticks]
        if values and values[0] == 0:
            self.ticks = [self._zero, *self.ticks]
            self.labels = ["0", *self.labels]
            low = self._zero
        margin = 1.5 if low == high else 1.0
        self.limits = low / margin, high * margin
        self.norm = LogNorm(*self.limits)

    def place(self, betas: Iterable[float]) -> Float[np.ndarray, " points"]:
        """Positive numbers for a logarithmic axis."""
        values = np.array(list(betas), float)
        return np.where(values > 0, values, self._zero)

    def colours(self, betas: Iterable[float]) -> list[str]:
        """One colour for each beta."""
        return [to_hex(colour) for colour in BETA_COLOURS(self.norm(self.place(betas)))]

    def colour_bar(self, figure: Figure, axes: Axes) -> None:
        """Explains the colours at the right of a panel."""
        bar = figure.colorbar(ScalarMappable(self.norm, BETA_COLOURS), ax=axes, pad=0.02, aspect=30)
        bar.ax.set_title("β", loc="left", fontsize=8, pad=4)
        bar.ax.minorticks_off()
        bar.set_ticks(self.ticks, labels=self.labels)
        bar.outline.set_visible(False)

    def axis(self, axes: Axes) -> None:
        """Makes the x axis one of beta."""
        low, high = self.limits
        margin = (high / low) ** 0.04
        axes.set_xscale("log")
        axes.set_xlim(low / margin, high * margin)
        axes.set_xticks(self.ticks, labels=self.labels)
        axes.minorticks_off()
        axes.set_xlabel("β")
