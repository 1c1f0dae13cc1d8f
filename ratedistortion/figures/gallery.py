"""Originals, reconstructions and prior samples, from the autoencoder to the autodecoder."""

import numpy as np
import pandas
from jaxtyping import Float, Shaped
from matplotlib.figure import Figure

from ratedistortion.errors import SettingsError
from ratedistortion.figures import style
from ratedistortion.figures.inputs import Inputs
from ratedistortion.table.identity import asked_for

_SHOWN_BETAS = 6
_SHOWN_IMAGES = 5  # in a row, on each side
_LABEL_WIDTH = 1.0  # of the labels to the left of the images, in inches
_LINE_HEIGHT = 0.125  # of a line of text, in inches


def draw(inputs: Inputs) -> Figure:
    """A row a beta: reconstructions of the originals in the first row, and prior samples.

    A beta of which every run is suspect has that word in its label.

    Args:
        inputs: One table, with the images of its runs.

    Returns:
        The figure, without axes.

    Raises:
        SettingsError: If there are several tables, or no images that fit the table.
    """
    table = inputs.only_table("gallery")
    if inputs.images is None:
        raise SettingsError("gallery needs the images of a run directory: got none.")
    images = {name: np.asarray(values) for name, values in inputs.images.items()}
    _check(images["originals"])
    shown = _choose(table.drawn(), images)
    runs, count = shown["run"].to_numpy(), min(_SHOWN_IMAGES, len(images["originals"]))
    white = np.ones_like(images["samples"][:1])
    left = np.concatenate([images["originals"][None], images["reconstructions"][runs]])[:, :count]
    right = np.concatenate([white, images["samples"][runs]])[:, :count]
    # All lengths from here on are in pixels of the images, unless their comment says inches.
    height, width = left.shape[2:4]
    gap = max(1, width // 14)
    columns = 2 * count * (width + gap) + 2 * gap
    scale = columns / (style.WIDTH - _LABEL_WIDTH)  # pixels an inch
    lines = 3 if "suspect" in set(shown["status"]) else 2
    pitch = max(height + gap, round(lines * _LINE_HEIGHT * scale))
    left, right = (_mosaic(block, pitch, width + gap) for block in (left, right))
    between = np.ones((len(left), 2 * gap, left.shape[-1]))
    canvas = np.concatenate([left, between, right], axis=1)
    canvas = canvas if canvas.shape[-1] == 3 else canvas[..., 0]
    heading = 0.5 * scale
    figure = Figure(figsize=(style.WIDTH, (len(canvas) + heading) / scale))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    extent = (0, columns, len(canvas), 0)
    axes.imshow(canvas, "gray", vmin=0, vmax=1, interpolation="none", extent=extent)
    axes.set(xlim=(-_LABEL_WIDTH * scale, columns), ylim=(len(canvas), -heading))
    words = {"fontsize": 7, "va": "center", "linespacing": 1.1}
    label = -0.95 * _LABEL_WIDTH * scale
    title = style.one_line(inputs.source())
    axes.text(label, -0.39 * scale, title, fontsize=7, parse_math=False)
    axes.text(label, -0.26 * scale, f"R and D in {inputs.units}", fontsize=7)
    axes.text(0, -0.06 * scale, "reconstructions", fontsize=7)
    axes.text(columns // 2 + gap, -0.06 * scale, "prior samples", fontsize=7)
    axes.text(label, height / 2, "originals", **words)
    for n, row in enumerate(shown.to_dict("records"), 1):
        text = f"β = {row['beta']:.3g}\nR {_rounded(row['rate'])}  D {_rounded(row['distortion'])}"
        text += "\nsuspect" * (row["status"] == "suspect")
        axes.text(label, n * pitch + height / 2, text, **words)
    return figure


def _check(originals: np.ndarray) -> None:
    shape = originals.shape
    if len(shape) != 4 or min(shape[1:3]) < 2 or shape[3] not in (1, 3):
        raise SettingsError(
            "gallery needs images of height and width above 1, in grey or RGB: "
            f"this data set has vectors of shape {shape[1:]}."
        )


def _choose(rows: pandas.DataFrame, images: dict[str, np.ndarray]) -> pandas.DataFrame:
    """The rows of a few betas over the whole grid; the column `run` says where its images are."""
    names = [name for name in ("beta", "seed", "target_rate") if name in images]
    runs = pandas.DataFrame({name: images[name] for name in names})
    # Runs with different target rates can end at the same beta: the target tells them apart.
    runs = pandas.DataFrame({"point": asked_for(runs), "seed": runs["seed"], "run": runs.index})
    known = rows.assign(point=asked_for(rows)).merge(runs, on=["point", "seed"])
    # The first row of a beta is kept. Suspect rows are last, so they stand only for a beta that
    # has no other.
    known = known.drop_duplicates("point").sort_values("beta", kind="stable")
    if known.empty:
        raise SettingsError("gallery: the images belong to none of the table's runs.")
    places = np.linspace(0, len(known) - 1, min(_SHOWN_BETAS, len(known))).round().astype(int)
    return known.iloc[places]


def _mosaic(
    block: Shaped[np.ndarray, "rows images height width channels"], pitch: int, step: int
) -> Float[np.ndarray, "tall wide channels"]:
    """One picture of rows of images, with white between them."""
    rows, count, height, width, channels = block.shape
    room = ((0, 0), (0, 0), (0, pitch - height), (0, step - width), (0, 0))
    cells = np.pad(np.clip(block.astype(float), 0, 1), room, constant_values=1)
    return cells.transpose(0, 2, 1, 3, 4).reshape(rows * pitch, count * step, channels)


def _rounded(value: float) -> str:
    size = abs(value)
    if size >= 1e7:
        return f"{value:.0e}"
    return f"{value:.1f}" if size >= 100 else f"{value:.3g}" if size >= 1 else f"{value:.3f}"
