"""The data of a sweep as its models see them: first examples, values and mean."""

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ratedistortion.figures import style
from ratedistortion.text import printable

_COLUMNS = 8  # images in a row of a mosaic
_CHARACTERS = 76  # in a line of the title


def draw_data(preview: Mapping[str, np.ndarray], description: str) -> Figure:
    """First examples of each split, how often each value occurs, and the mean of the training data.

    Args:
        preview: As of `Dataset.preview`.
        description: The line that says how the data were read.

    Returns:
        The figure.
    """
    with style.context():
        title = "\n".join(textwrap.wrap(printable(description, 600), _CHARACTERS))
        height = 3.0 + 0.1 * title.count("\n")
        figure = Figure(figsize=(style.WIDTH, height), layout="constrained")
        figure.suptitle(title, fontsize=5.5, x=0.01, ha="left", parse_math=False)
        (train, test), (values, mean) = figure.subplots(2, 2)
        for axes, split in ((train, "train"), (test, "test")):
            axes.set_title(f"first {len(preview[split])} of {split}", loc="left")
            _examples(axes, preview[split])
        for split, colour in (("train", style.BLUE), ("test", style.ORANGE)):
            counts = preview[f"{split}_counts"]
            share = counts / max(counts.sum(), 1)
            values.stairs(share, preview["edges"], color=colour, label=split)
        values.set(
            yscale="log", ylim=(share[share > 0].min() / 2, 1), xlabel="value", ylabel="share"
        )
        values.legend()
        mean.set_title("mean of train", loc="left")
        if preview["mean"].ndim == 1:
            mean.plot(preview["mean"], color=style.BLUE)
            mean.set_xlabel("dimension")
        else:
            _examples(mean, preview["mean"][None])
        return figure


def _examples(axes: Axes, examples: np.ndarray) -> None:
    """Images side by side, or vectors as the rows of one picture."""
    if examples.ndim == 2:
        picture = axes.imshow(examples, "viridis", aspect="auto", interpolation="none")
        axes.set(xlabel="dimension", ylabel="example")
        axes.figure.colorbar(picture, ax=axes)
        return
    columns = min(_COLUMNS, len(examples))
    rows = -(-len(examples) // columns)
    low, high = min(examples.min(), 0), max(examples.max(), 1)
    missing = rows * columns - len(examples)
    room = ((0, missing), (0, 1), (0, 1), (0, 0))  # white between the images
    cells = np.pad((examples - low) / (high - low), room, constant_values=1)
    _, height, width, channels = cells.shape
    mosaic = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    mosaic = mosaic.reshape(rows * height, columns * width, channels)
    axes.imshow(mosaic if channels == 3 else mosaic[..., 0], "gray", vmin=0, vmax=1)
    axes.set_axis_off()
