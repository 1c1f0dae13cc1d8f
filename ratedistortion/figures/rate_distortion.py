"""Distortion against rate, one point a run."""

from typing import Any

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ratedistortion.curve import lower_convex_hull
from ratedistortion.figures import style
from ratedistortion.figures.beta_scale import BetaScale
from ratedistortion.figures.inputs import Inputs
from ratedistortion.figures.looks import choose
from ratedistortion.theory import known_curve


def draw(inputs: Inputs) -> Figure:
    """R and D of every run, their lower convex hull, the exact R(D) and lines of equal ELBO.

    Suspect runs are hollow points, and part of no hull and of no line through seeds.

    Args:
        inputs: One table or several.

    Returns:
        The figure, with one panel.
    """
    figure, (axes,) = style.new_figure(2.6)
    everything = inputs.everything()
    betas = everything["beta"].dropna()
    scale = BetaScale(betas)
    several = len(inputs.tables) > 1
    looks, columns = choose(inputs)
    for label, table in inputs.tables.items():
        colour, line, marker = looks[label]
        _runs(axes, table.rows, scale, marker, colour, colour if several else "white")
        rate, distortion = table.rows[["rate", "distortion"]].to_numpy().T
        hull = lower_convex_hull(rate, distortion)
        axes.plot(rate[hull], distortion[hull], linestyle=line, color=colour, lw=0.7, zorder=2)
        if len(suspects := table.suspects):
            x, y = suspects["rate"], suspects["distortion"]
            edge = [colour] * len(x) if several else _colours(suspects["beta"], scale, colour)
            # Hollow points are drawn last, so that the others hide none of them.
            axes.scatter(
                x, y, 20, "white", marker=marker, linewidths=1.1, edgecolors=edge, zorder=5
            )
    axes.margins(0.06)
    axes.autoscale_view()
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    axes.locator_params(nbins=7)
    if not inputs.squared:
        if exact := _exact(axes, inputs):
            columns[-1]["exact R(D)"] = exact
        columns[-1]["equal R + D (−ELBO)"] = _equal_elbo(axes, everything)
    axes.set_xlabel(inputs.axis("rate R"))
    distortion = inputs.axis("distortion D")
    axes.set_ylabel("squared error per dimension" if inputs.squared else distortion)
    if len(betas):
        scale.colour_bar(figure, axes)
    style.legend(figure, inputs.title(), *columns)
    return figure


def _runs(
    axes: Axes, rows: pandas.DataFrame, scale: BetaScale, marker: str, colour: str, edge: str
) -> None:
    """One point a run with its standard errors; a line joins the seeds of one beta."""
    x, y = rows["rate"], rows["distortion"]
    errors = rows["distortion_se"].fillna(0), rows["rate_se"].fillna(0)
    axes.errorbar(x, y, *errors, fmt="none", ecolor="0.3", elinewidth=0.6, zorder=3)
    seeds = [group for _, group in rows.sort_values("rate").groupby("beta")]
    lines = [group[["rate", "distortion"]].to_numpy() for group in seeds]
    colours = scale.colours(group["beta"].iloc[0] for group in seeds)
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=0.8, zorder=3))
    colours = _colours(rows["beta"], scale, colour)
    axes.scatter(x, y, 14, colours, marker=marker, linewidths=0.5, edgecolors=edge, zorder=4)


def _colours(betas: Any, scale: BetaScale, other: str) -> list[str]:
    """The colour of each beta; `other` where a point has none."""
    colours = zip(scale.colours(betas), betas.isna(), strict=True)
    return [other if missing else colour for colour, missing in colours]


def _exact(axes: Axes, inputs: Inputs) -> Line2D | None:
    """Draws the frontier of each known source once."""
    sources, line = [], None
    for table in inputs.tables.values():
        settings = table.settings()
        source = [settings.get(name) for name in ("dataset", "likelihood", "likelihood_scale")]
        if source not in sources and (curve := known_curve(settings)) is not None:
            distortion, rate = (table.factor * values for values in curve)
            (line,) = axes.plot(rate, distortion, "k--", linewidth=0.8, zorder=2.5)
            sources.append(source)
    return line


def _equal_elbo(axes: Axes, rows: pandas.DataFrame) -> Line2D:
    """Thin lines of R + D = const, each labelled where no point is near."""
    points = rows[["rate", "distortion"]].dropna().to_numpy()
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    levels = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(low.sum(), high.sum())
    for level in levels[(levels > low.sum()) & (levels < high.sum())]:
        x = np.linspace(max(low[0], level - high[1]), min(high[0], level - low[1]), 41)
        line = np.stack([x, level - x], 1)
        axes.plot(*line.T, color=style.GREY, linewidth=0.4, zorder=1)
        places = (line - low) / (high - low)
        distance = np.linalg.norm(places[:, None] - (points - low) / (high - low), axis=-1).min(1)
        inside = np.all((places > 0.07) & (places < 0.93), axis=1)
        distance = np.where(inside, distance, 0)
        best = np.argmax(distance)
        if distance[best] < 0.05:
            continue
        label = axes.text(line[best, 0], line[best, 1], f"{level:g}", color=style.GREY, fontsize=7)
        label.set(ha="center", va="center", zorder=1.5)
        label.set(rotation=-45, rotation_mode="anchor", transform_rotates_text=True)
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    return Line2D([], [], color=style.GREY, linewidth=0.4)
