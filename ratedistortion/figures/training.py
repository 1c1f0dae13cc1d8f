"""Loss against step, one line per run."""

import numpy as np
from matplotlib.figure import Figure

from ratedistortion.errors import SettingsError
from ratedistortion.figures import style
from ratedistortion.figures.beta_scale import BetaScale
from ratedistortion.figures.inputs import Inputs
from ratedistortion.table.identity import asked_for, run_key


def draw(inputs: Inputs) -> Figure:
    """The loss D + beta R of every run while it was trained.

    A cross shows where a run diverged; a hollow end, that its numbers are suspect.

    Args:
        inputs: One table, with the losses of its runs.

    Returns:
        The figure, one line per run.

    Raises:
        SettingsError: If there are several tables, or no losses.
    """
    table = inputs.only_table("training")
    if not inputs.losses:
        raise SettingsError("training needs the losses of a run directory: got none.")
    figure, (axes,) = style.new_figure(2.4)
    betas = [run["beta"] for run in inputs.losses]
    scale = BetaScale(betas)
    suspects = set(zip(asked_for(table.suspects), table.suspects["seed"], strict=True))
    diverged, hollow = [], []
    for run, colour in zip(inputs.losses, scale.colours(betas), strict=True):
        steps = np.asarray(run["steps"], float)
        loss = np.asarray(run["distortion"], float) + run["beta"] * np.asarray(run["rate"], float)
        finite = np.isfinite(loss)
        steps, losses = steps[finite], table.factor * loss[finite]
        axes.plot(steps, losses, color=colour, linewidth=0.7)
        if not len(steps):
            continue
        end = steps[-1], losses[-1]
        if not finite.all():
            diverged.append(end)
        if run_key(run) in suspects:
            hollow.append(end)
    handles = {}
    for label, ends, look in (("suspect", hollow, "ko"), ("diverged", diverged, "kx")):
        if ends:
            (handles[label],) = axes.plot(*np.transpose(ends), look, markersize=4, mfc="white")
    style.legend(figure, [inputs.source()], handles)
    if all(np.min(line.get_ydata(), initial=1) > 0 for line in axes.lines):
        axes.set_yscale("log")  # the limits of a logarithmic axis differ from those of a linear one
        style.logarithmic(axes, *axes.get_ylim())
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("training step")
    axes.set_ylabel(inputs.axis("loss D + βR"))
    scale.colour_bar(figure, axes)
    return figure
