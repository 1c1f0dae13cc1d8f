"""H - D <= I(X;Z) <= R against beta: what is certain of the information in the code."""

import numpy as np
import pandas
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ratedistortion.figures import style
from ratedistortion.figures.inputs import Inputs
from ratedistortion.theory import known_entropy


def draw(inputs: Inputs) -> Figure:
    r"""The population's I(X;Z) between its bounds, in means over seeds; a panel a table.

    The band goes from the largest certified lower bound to the least upper bound:
    $$\max(0,\; H - D,\; I(n;z)) \le I(X;Z) \le \min(R,\; \text{the table's upper bound}).$$
    H - D takes part only where the entropy H of the source is known. For real data the best R + D
    of the table stands for it. That is an upper bound of H, so the dashed line with it bounds
    nothing: I may lie below it. It says where H - D can be at most.
    """
    tables = {label: rows for label, rows in inputs.tables.items() if len(rows)}
    figure, panels = style.new_figure(0.6 + 1.9 * len(tables), len(tables))
    scale = style.BetaScale(pandas.concat(tables.values())["beta"])
    handles: dict[str, Artist] = {}
    for axes, (label, rows) in zip(panels, tables.items(), strict=True):
        settings = rows.attrs.get("ratedistortion", {}).get("settings", {})
        known = known_entropy(settings)
        entropy = known and known[0] * inputs.factors[label]
        handles |= _panel(axes, rows, scale, entropy)
        axes.set_title(label if len(tables) > 1 else "", loc="left")
        axes.set_ylabel(f"I(X;Z) ({inputs.units})")
        scale.axis(axes)
        axes.label_outer()
    panels[0].set_title(inputs.note(), loc="right", color=style.GREY)
    style.legend(figure, handles)
    return figure


def _panel(
    axes: Axes, rows: pandas.DataFrame, scale: style.BetaScale, entropy: float | None
) -> dict[str, Artist]:
    """Lines through the means over seeds, and the band that they leave to I."""
    handles: dict[str, Artist] = {}
    means = pandas.DataFrame(rows.groupby("beta")[list(_READ)].mean())
    places = scale.place(means.index)
    information = means["mutual_information"].to_numpy(float)
    upper = means[["rate", "population_information_upper"]].min(axis=1).to_numpy(float)
    best = float(rows["negative_elbo"].to_numpy(float).min())
    less = (best if entropy is None else entropy) - means["distortion"].to_numpy(float)
    lower = np.maximum(information, 0.0)
    if entropy is not None:
        # Differential or not: I is never below 0, so neither is its best lower bound.
        lower = np.fmax(lower, less)
    # Two estimates of one number may cross by their errors.
    handles["I(X;Z) lies here"] = axes.fill_between(
        places, lower, np.maximum(lower, upper), color=style.ORANGE, alpha=0.25, linewidth=0
    )
    (handles["R"],) = axes.plot(
        places, means["rate"], "s-", color=style.BLUE, markersize=4.5, linewidth=0.8
    )
    (handles["upper bound"],) = axes.plot(
        places, upper, "v-", color=style.PURPLE, markersize=3, linewidth=0.8
    )
    (handles["I(n;z), lower bound"],) = axes.plot(
        places, information, "o-", color=style.ORANGE, markersize=3, linewidth=0.8
    )
    if entropy is None:
        name, look = "(best R + D) − D, no bound: H ≤ best −ELBO seen", "--"
    else:
        name, look = "H − D, lower bound", "^-"
    shown = np.where(less > 0, less, np.nan if entropy is None else 0.0)
    (handles[name],) = axes.plot(
        places,
        shown,
        look,
        color="black" if entropy is None else style.GREEN,
        markersize=3,
        linewidth=0.8,
    )
    ceiling = float(rows["log_examples"].to_numpy(float)[0])
    handles["log N"] = axes.axhline(ceiling, color=style.GREY, linestyle=":", linewidth=0.8)
    highest = float(
        np.nanmax(
            [float(means["rate"].to_numpy(float).max()), ceiling, np.nanmax(shown, initial=0.0)]
        )
    )
    style.symmetric_log(axes, 0.0, highest)
    return handles


_READ = (
    "rate",
    "distortion",
    "mutual_information",
    "population_information_upper",
)
