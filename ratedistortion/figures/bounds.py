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
    nothing: I may lie below it. It says where H - D can be at most. Suspect runs take part in
    nothing of that: their R is shown beside it.
    """
    tables = inputs.drawn()
    figure, panels = style.new_figure(0.6 + 1.9 * len(tables), len(tables))
    scale = style.BetaScale(inputs.everything()["beta"])
    handles: dict[str, Artist] = {}
    for axes, (label, (rows, suspects)) in zip(panels, tables.items(), strict=True):
        settings = rows.attrs.get("ratedistortion", {}).get("settings", {})
        known = known_entropy(settings)
        entropy = known and known[0] * inputs.factors[label]
        handles |= _panel(axes, rows, suspects, scale, entropy)
        axes.set_title(label if len(tables) > 1 else "", loc="left")
        axes.set_ylabel(f"I(X;Z) ({inputs.units})")
        scale.axis(axes)
        axes.label_outer()
    panels[0].set_title(inputs.note(), loc="right", color=style.GREY)
    style.legend(figure, handles)
    return figure


def _panel(
    axes: Axes,
    rows: pandas.DataFrame,
    suspects: pandas.DataFrame,
    scale: style.BetaScale,
    entropy: float | None,
) -> dict[str, Artist]:
    """Lines through the means over seeds, and the band that they leave to I."""
    handles: dict[str, Artist] = {}
    betas = np.unique(rows["beta"].to_numpy())
    places = scale.place(betas)
    # Posteriors that are not Gaussian have bounds of I(n;z) instead of an estimate.
    exact = bool(rows["mutual_information"].notna().any())
    information_name = "mutual_information" if exact else "mutual_information_lower"
    rate, distortion, information, upper = (
        np.array([rows.loc[rows["beta"] == beta, name].mean() for beta in betas])
        for name in ("rate", "distortion", information_name, "population_information_upper")
    )
    upper = np.fmin(rate, upper)
    # Differential entropy or not: I is never below 0, so neither is its best lower bound.
    lower = np.fmax(information, 0.0)
    if entropy is not None:
        less = np.maximum(entropy - distortion, 0.0)
        lower = np.fmax(lower, less)
        name, look, colour = "H − D, lower bound", "^-", style.GREEN
    else:
        less = rows["negative_elbo"].min() - distortion
        less = np.where(less > 0, less, np.nan)
        name, look, colour = "H − D, at most", "--", "black"
    handles["I(X;Z) lies here"] = axes.fill_between(
        places,
        lower,
        np.fmax(lower, upper),  # estimates of one number may cross by their errors
        color=style.ORANGE,
        alpha=0.25,
        linewidth=0,
    )
    # R is the largest of the three and its marker too, so that it shows behind what is equal.
    for label, values, shape, size, each in (
        ("rate R", rate, "s-", 4.5, style.BLUE),
        ("upper bound", upper, "v-", 3.8, style.PURPLE),
        ("I(n;z), lower bound", information, "o-", 3.0, style.ORANGE),
        (name, less, look, 2.5, colour),
    ):
        (handles[label],) = axes.plot(
            places, values, shape, color=each, markersize=size, linewidth=0.8
        )
    ceiling = (rows if len(rows) else suspects)["log_examples"].iloc[0]
    handles["log N"] = axes.axhline(ceiling, color=style.GREY, linestyle=":", linewidth=0.8)
    if len(suspects):
        place = scale.place(suspects["beta"])
        handles["R, suspect"] = style.suspects(axes, place, suspects["rate"], "s", style.BLUE)
    shown = np.concatenate([rate, upper, information, less, [ceiling], suspects["rate"]])
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if low > high / 1000:
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.set_ylim(low / 1.4, 1.4 * high)
        ticks = style.log_ticks(low / 1.4, 1.4 * high)
        axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    else:
        style.symmetric_log(axes, min(low, 0.0), high)
    return handles
