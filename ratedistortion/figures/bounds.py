"""H - D <= I(X;Z) <= R against beta: what is certain of the information in the code."""

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ratedistortion.figures import style
from ratedistortion.figures.beta_scale import BetaScale
from ratedistortion.figures.inputs import Inputs, Table
from ratedistortion.figures.panels import draw_panels
from ratedistortion.theory import known_entropy


def draw(inputs: Inputs) -> Figure:
    r"""The population's I(X;Z) between its bounds, in means over seeds; a panel a table.

    The band goes from the largest certified lower bound to the least upper bound:
    $$\max(0,\; H - D,\; I(n;z)) \le I(X;Z) \le \min(R,\; \text{the table's upper bound}).$$
    H - D takes part only where the entropy H of the source is known. For real data the best R + D
    of the table stands for H. That is an upper bound of H, so the dashed line of it is no bound
    of I(X;Z), which may lie below: it shows the largest value that H - D can have. Suspect runs
    take part in no mean and no band: their R is shown beside them.

    Args:
        inputs: One table or several.

    Returns:
        The figure, one panel a table.
    """
    return draw_panels(inputs, 1.9, inputs.axis("I(X;Z)"), _panel)


def _panel(axes: Axes, table: Table, scale: BetaScale) -> dict[str, Artist]:
    """Lines through the means over seeds, and the band that they leave to I(X;Z)."""
    rows, suspects = table.rows, table.suspects
    means: Any = rows.groupby("beta").mean(numeric_only=True)
    places = scale.place(means.index)
    rate, distortion = means["rate"], means["distortion"]
    # Posteriors that are not Gaussian have bounds of I(n;z) instead of an estimate.
    exact = means["mutual_information"].notna().any()
    information = means["mutual_information" if exact else "mutual_information_lower"]
    upper = np.fmin(rate, means["population_information_upper"])
    # I(X;Z) is never below 0, so a lower bound below 0 is replaced by 0.
    lower = np.fmax(information, 0)
    known = known_entropy(table.settings())
    if known is not None:
        less = np.fmax(known[0] * table.factor - distortion, 0)
        lower = np.fmax(lower, less)
        name, look, colour = "lower bound H − D", "^-", style.GREEN
    else:
        less = rows["negative_elbo"].min() - distortion
        less = less.where(less > 0)
        name, look, colour = "H − D (H ≤ best −ELBO)", "--", "black"
    # Two bounds that are estimated may cross by their errors: then the band has no height.
    top = np.fmax(lower, upper)
    band = axes.fill_between(places, lower, top, color=style.ORANGE, alpha=0.25, linewidth=0)
    handles: dict[str, Artist] = {"I(X;Z) lies here": band}
    # R is drawn first and has the largest marker, so that it shows behind an equal value.
    for label, values, shape, size, each in (
        ("rate R", rate, "s-", 4.5, style.BLUE),
        ("upper bound", upper, "v-", 3.8, style.PURPLE),
        ("lower bound I(n;z)", information, "o-", 3.0, style.ORANGE),
        (name, less, look, 2.5, colour),
    ):
        (handles[label],) = axes.plot(places, values, shape, color=each, markersize=size, lw=0.8)
    ceiling = table.ceiling()
    style.ceiling(axes, ceiling, style.GREY, ":")
    if len(suspects):
        handles["R of suspect runs"] = style.suspects(
            axes, scale.place(suspects["beta"]), suspects["rate"], "s", style.BLUE
        )
    shown = np.concatenate([rate, upper, information, less, [ceiling], suspects["rate"]])
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if low > high / 1000:
        style.logarithmic(axes, low / 1.4, 1.4 * high)
    else:  # values near 0 or below it need an axis that is linear there
        style.symmetric_log(axes, min(low, 0.0), high)
    return handles
