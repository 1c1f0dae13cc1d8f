"""Where each beta lies, and which colour it has."""

from collections.abc import Iterable

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_hex
from matplotlib.figure import Figure

from ratedistortion.figures.style import log_ticks

# The last tenth of viridis is left out, because its yellow is hard to see on white.
BETA_COLOURS = LinearSegmentedColormap.from_list(
    "beta", matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256))
)


class BetaScale:
    """Where each beta lies on a logarithmic axis or colour bar; 0 lies left of the others.

    Args:
        betas: Every beta of the figure, at least 0, in any order and as often as may be.
    """

    def __init__(self, betas: Iterable[float]) -> None:
        values = sorted(set(betas))
        positive = [beta for beta in values if beta > 0] or [1.0]
        low, high = positive[0], positive[-1]
        self._zero = low / max(3.0, (high / low) ** 0.15)
        self.ticks = log_ticks(low, high)
        if 0 in values:
            low = self._zero
            self.ticks = [low, *self.ticks]
        self.labels = ["0" if tick == self._zero else f"{tick:g}" for tick in self.ticks]
        margin = 1.5 if low == high else 1.0
        self.limits = low / margin, high * margin
        self.norm = LogNorm(*self.limits)

    def place(self, betas: Iterable[float]) -> Float[np.ndarray, " points"]:
        """Positive numbers for a logarithmic axis.

        Args:
            betas: Of the figure.

        Returns:
            Each beta itself; for 0 a number to the left of the others.
        """
        values = np.array(list(betas), float)
        return np.where(values > 0, values, self._zero)

    def colours(self, betas: Iterable[float]) -> list[str]:
        """Colours of betas, as the colour bar explains them.

        Args:
            betas: Of the figure.

        Returns:
            One colour for each, as `#rrggbb`.
        """
        return [to_hex(colour) for colour in BETA_COLOURS(self.norm(self.place(betas)))]

    def colour_bar(self, figure: Figure, axes: Axes) -> None:
        """Draws the colour bar at the right of a panel.

        Args:
            figure: The figure.
            axes: Its panel.
        """
        bar = figure.colorbar(ScalarMappable(self.norm, BETA_COLOURS), ax=axes, pad=0.02, aspect=30)
        bar.ax.set_title("β", loc="left", fontsize=8, pad=4)
        bar.ax.minorticks_off()
        bar.set_ticks(self.ticks, labels=self.labels)
        bar.outline.set_visible(False)

    def axis(self, axes: Axes) -> None:
        """Makes the x axis of a panel one of beta.

        Args:
            axes: The panel.
        """
        low, high = self.limits
        margin = (high / low) ** 0.04
        axes.set_xscale("log")
        axes.set_xlim(low / margin, high * margin)
        axes.set_xticks(self.ticks, labels=self.labels)
        axes.minorticks_off()
        axes.set_xlabel("β")
