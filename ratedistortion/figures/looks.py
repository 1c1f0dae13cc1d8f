"""How the curves of several tables are told apart in one figure."""

import operator
from typing import Literal, NamedTuple

import pandas
from matplotlib.lines import Line2D

from ratedistortion.figures.inputs import Inputs
from ratedistortion.figures.style import CATEGORIES, MARKERS

Line = Literal["", "-", "--", ":", "-."]
_LINES: tuple[Line, ...] = ("-", "--", ":", "-.")


class Look(NamedTuple):
    """How one curve is drawn, in the words of matplotlib."""

    colour: str
    line: Line
    marker: str


def choose(inputs: Inputs) -> tuple[dict[str, Look], list[dict[str, Line2D]]]:
    """A look for each table: by its families, or else one of its own.

    Args:
        inputs: One table, which is black, or several.

    Returns:
        Label of a table -> its look; and the columns of the legend, each label -> handle.
    """
    if len(inputs.tables) == 1:
        (rows,) = inputs.tables.values()
        hull = {"lower convex hull": _handle(Look("black", "-", ""))} if len(rows) else {}
        return dict.fromkeys(inputs.tables, Look("black", "-", MARKERS[0])), [hull]
    families = _families(inputs)
    if families is not None:
        return _by_family(families)
    looks = {
        label: Look(CATEGORIES[n % len(CATEGORIES)], "-", MARKERS[n % len(MARKERS)])
        for n, label in enumerate(inputs.tables)
    }
    return looks, [{inputs.named(label): _handle(look) for label, look in looks.items()}]


def _families(inputs: Inputs) -> dict[str, tuple[str, str, str]] | None:
    """Encoder, decoder and prior of each table; None unless they make a good legend.

    They do where at least two of them vary, and where they tell the tables apart with no more
    entries than there are tables.
    """
    found = {}
    for label, rows in inputs.tables.items():
        table = pandas.concat([rows, inputs.suspects[label]])
        families = set(zip(table["encoder"], table["decoder"], table["prior"], strict=True))
        if len(families) != 1:
            return None
        found[label] = families.pop()
    counts = [len(set(column)) for column in zip(*found.values(), strict=True)]
    varying = [count for count in counts if count > 1]
    good = (
        len(varying) >= 2
        and sum(varying) <= len(found) == len(set(found.values()))
        and len(set(inputs.datasets.values())) == 1
        and all(map(operator.le, counts, map(len, (MARKERS, CATEGORIES, _LINES))))
    )
    return found if good else None


def _by_family(
    families: dict[str, tuple[str, str, str]],
) -> tuple[dict[str, Look], list[dict[str, Line2D]]]:
    """The encoder is the marker, the decoder the colour, and the prior the line."""
    encoders, decoders, priors = (
        list(dict.fromkeys(column)) for column in zip(*families.values(), strict=True)
    )
    looks = {
        label: Look(
            CATEGORIES[decoders.index(decoder)],
            _LINES[priors.index(prior)],
            MARKERS[encoders.index(encoder)],
        )
        for label, (encoder, decoder, prior) in families.items()
    }
    columns = [
        {
            f"{name} encoder": _handle(Look("black", "", MARKERS[n]))
            for n, name in enumerate(encoders)
        },
        {
            f"{name} decoder": _handle(Look(CATEGORIES[n], "-", ""))
            for n, name in enumerate(decoders)
        },
        {f"{name} prior": _handle(Look("black", _LINES[n], "")) for n, name in enumerate(priors)},
    ]
    return looks, [column for column in columns if len(column) > 1]


def _handle(look: Look) -> Line2D:
    colour, line, marker = look
    return Line2D([], [], color=colour, linestyle=line, linewidth=0.7, marker=marker, markersize=3)
