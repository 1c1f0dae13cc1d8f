"""Panels one above the other, one a table, that share an axis of beta and a legend."""

from collections.abc import Callable

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ratedistortion.figures import style
from ratedistortion.figures.beta_scale import BetaScale
from ratedistortion.figures.inputs import Inputs, Table

Panel = Callable[[Axes, Table, BetaScale], dict[str, Artist]]
"""Draws a table, and returns the entries of the legend: label -> handle."""


def draw_panels(inputs: Inputs, height: float, quantity: str, panel: Panel) -> Figure:
    """A panel for each table that has rows to draw.

    Args:
        inputs: The tables.
        height: Of one panel, in inches.
        quantity: What the y axes show, with its unit.
        panel: Draws one of them.

    Returns:
        The figure, with a legend above the panels.
    """
    tables = {label: table for label, table in inputs.tables.items() if len(table.drawn())}
    figure, panels = style.new_figure(0.6 + height * len(tables), len(tables))
    scale = BetaScale(inputs.everything()["beta"])
    handles: dict[str, Artist] = {}
    for axes, (label, table) in zip(panels, tables.items(), strict=True):
        handles |= panel(axes, table, scale)
        title = style.one_line(inputs.named(label)) if len(tables) > 1 else ""
        axes.set_title(title, loc="left", parse_math=False)
        axes.set_ylabel(quantity)
        scale.axis(axes)
        axes.label_outer()
    style.legend(figure, inputs.title(), handles)
    return figure
