"""How the curves of several tables are told apart in one figure."""

from typing import Any, NamedTuple

from matplotlib.lines import Line2D

from ratedistortion.figures.inputs import Inputs
from ratedistortion.figures.style import CATEGORIES, MARKERS

# What the encoders, the decoders and the priors of a figure look like, in this order.
_VALUES = (MARKERS, CATEGORIES, ("-", "--", ":", "-."))


class Look(NamedTuple):
    """How one curve is drawn, in the words of matplotlib."""

    colour: str
    line: str
    marker: str


def choose(inputs: Inputs) -> tuple[dict[str, Look], list[dict[str, Line2D]]]:
    """A look for each table: by its families, or else one of its own.

    Args:
        inputs: One table, which is black, or several.

    Returns:
        Label of a table -> its look; and the columns of the legend, each label -> handle.
    """
    if len(inputs.tables) == 1:
        ((label, table),) = inputs.tables.items()
        look = Look("black", "-", MARKERS[0])
        hull = {"lower convex hull": _handle("black", "-", "")} if len(table.rows) else {}
        if label and not table.is_measured():  # a curve of somebody else is drawn with its name
            hull = {label: _handle(*look)}
        return {label: look}, [hull]
    families = _families(inputs)
    if families is not None:
        return _by_family(families)
    looks = {
        label: Look(CATEGORIES[n % len(CATEGORIES)], "-", MARKERS[n % len(MARKERS)])
        for n, label in enumerate(inputs.tables)
    }
    return looks, [{inputs.named(label): _handle(*look) for label, look in looks.items()}]


def _families(inputs: Inputs) -> dict[str, tuple[str, str, str]] | None:
    """Encoder, decoder and prior of each table; None unless they make a good legend.

    They do where at least two of them vary, and where they tell the tables apart with no more
    entries than there are tables.
    """
    found = {}
    for label, table in inputs.tables.items():
        if not table.is_measured():
            return None
        families = table.drawn()[["encoder", "decoder", "prior"]].drop_duplicates()
        if len(families) != 1:
            return None
        found[label] = tuple(families.iloc[0])
    counts = [len(set(column)) for column in zip(*found.values(), strict=True)]
    varying = [count for count in counts if count > 1]
    good = (
        len(varying) >= 2
        and sum(varying) <= len(found) == len(set(found.values()))
        and not inputs.several_datasets()
        and all(count <= len(values) for count, values in zip(counts, _VALUES, strict=True))
    )
    return found if good else None


def _by_family(
    families: dict[str, tuple[str, str, str]],
) -> tuple[dict[str, Look], list[dict[str, Line2D]]]:
    """The encoder is the marker, the decoder the colour, and the prior the line."""
    markers, colours, lines = (
        dict(zip(dict.fromkeys(names), values, strict=False))
        for names, values in zip(zip(*families.values(), strict=True), _VALUES, strict=True)
    )
    looks = {
        label: Look(colours[decoder], lines[prior], markers[encoder])
        for label, (encoder, decoder, prior) in families.items()
    }
    columns = [
        {f"{name} encoder": _handle("black", "", marker) for name, marker in markers.items()},
        {f"{name} decoder": _handle(colour, "-", "") for name, colour in colours.items()},
        {f"{name} prior": _handle("black", line, "") for name, line in lines.items()},
    ]
    return looks, [column for column in columns if len(column) > 1]


def _handle(colour: str, line: Any, marker: str) -> Line2D:
    return Line2D([], [], color=colour, linestyle=line, linewidth=0.7, marker=marker, markersize=3)
