"""Draws figures of tables like MNIST's, and reads back what is on them."""

import mnist_like
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

from ratedistortion.figures import figure


def draw(tables, kind="rate-distortion", units="nats", **given):
    given = {"images": mnist_like.images(), "losses": mnist_like.losses()} | given
    return figure(tables, kind, units, **given)


def words(drawn):
    return [text.get_text() for text in drawn.findobj(Text) if text.get_text()]


def said(drawn, part):
    return any(part in text for text in words(drawn))


def hollow(drawn):
    """Points of white faces and coloured edges, as (x, y)."""
    points = []
    for axes in drawn.axes:
        for line in axes.lines:
            if line.get_markerfacecolor() == "white" and line.get_markersize() > 3:
                points += line.get_xydata().tolist()
        for dots in axes.collections:
            if len(dots.get_facecolors()) and to_hex(dots.get_facecolors()[0]) == "#ffffff":
                assert "#ffffff" not in {to_hex(edge) for edge in dots.get_edgecolors()}
                points += dots.get_offsets().tolist()
    return points


def check_layout(drawn):
    """No text smaller than 7 points, cut by an edge, or over another text."""
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    boxes = []
    outside = ticks_outside(drawn)
    for text in drawn.findobj(Text):
        if text.get_text() and text.get_visible() and text not in outside:
            assert text.get_fontsize() >= 7
            box = text.get_window_extent(canvas.get_renderer())
            assert drawn.bbox.padded(1).contains(*box.min), text
            assert drawn.bbox.padded(1).contains(*box.max), text
            assert not any(box.padded(-1).overlaps(other) for other in boxes), text
            boxes.append(box.padded(-1))


def ticks_outside(drawn):
    """An axis keeps the labels of ticks outside of its limits, which are not drawn."""
    return [
        tick.label1
        for axes in drawn.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
