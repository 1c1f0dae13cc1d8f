"""The figure of the training part: milliseconds per step and model, by case and competitor."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from results import Row, number

from ratedistortion.figures import saving, style


def draw(rows: Sequence[Row], path: Path) -> None:
    """Writes medians as dots with a line from the fastest to the slowest, on a logarithmic axis."""
    times = [row for row in rows if row.part == "training" and row.quantity == "time"]
    cases = list(dict.fromkeys(row.case for row in times))
    names = list(dict.fromkeys(row.competitor for row in times))
    with style.context():
        height = 0.8 + 0.14 * len(cases) * (len(names) + 1.5)
        figure = Figure(figsize=(6.8, height), layout="constrained")
        axes = figure.subplots()
        for name, colour in zip(names, style.CATEGORIES, strict=False):
            found = [row for row in times if row.competitor == name]
            places = [
                cases.index(row.case) * (len(names) + 1.5) + names.index(name) for row in found
            ]
            medians = [row.median for row in found]
            below = [row.median - row.lowest for row in found]
            above = [row.highest - row.median for row in found]
            axes.errorbar(
                medians, places, xerr=(below, above), fmt="o", markersize=4, elinewidth=1.5,
                color=colour, label=name,
            )  # fmt: skip
            for place, row in zip(places, found, strict=True):
                axes.annotate(
                    number(row.median), (row.highest, place), xytext=(5, 0),
                    textcoords="offset points", va="center", fontsize=6,
                )  # fmt: skip
        middles = [n * (len(names) + 1.5) + (len(names) - 1) / 2 for n in range(len(cases))]
        axes.set_yticks(middles, labels=cases)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", linewidth=0.4)
        axes.invert_yaxis()
        axes.set_xscale("log")
        low, high = min(row.lowest for row in times), max(row.highest for row in times)
        axes.set_xlim(low / 2, high * 1.6)
        ticks = style.log_ticks(low / 2, high * 1.6)
        axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("ms per step and model (dot: median; line: fastest to slowest round)")
        figure.legend(loc="outside upper left", ncols=2)
    saving.save(figure, path)
