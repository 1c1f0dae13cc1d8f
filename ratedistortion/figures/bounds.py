"""H - D <= I(X;Z) <= R against beta: what is certain of the information in the code."""

import numpy as np
import pandas
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ratedistortion.figures import style
from ratedistortion.figures.beta_scale import BetaScale
from ratedistortion.figures.inputs import Inputs
from ratedistortion.figures.panels import draw_panels
from ratedistortion.theory import known_entropy


def draw(inputs: Inputs) -> Figure:
    r"""The population's I(X;Z) between its bounds, in means over seeds; a panel a table.

    The band goes from the largest certified lower bound to the least upper bound:
    $$\max(0,\; H - D,\; I(n;z)) \le I(X;Z) \le \min(R,\; \text{the table's upper bound}).$$
    H - D takes part only where the entropy H of the source is known. For real data the best R + D
    of the table stands for H. That is an upper bound of H, so the dashed line of it is no bound
    of I(X;Z), which may lie below: it shows the largest value that H - D can have. Suspect runs
    take part in no mean and no band: their R is shown beside them.

    Args:
        inputs: One table or several.

    Returns:
        The figure, one panel a table.
    """
    return draw_panels(inputs, 1.9, f"I(X;Z) ({inputs.units})", _panel)


def _panel(
    axes: Axes,
    rows: pandas.DataFrame,
    suspects: pandas.DataFrame,
    scale: BetaScale,
    factor: float,
) -> dict[str, Artist]:
    """Lines through the means over seeds, and the band that they leave to I(X;Z)."""
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
    # I(X;Z) is never below 0, so a lower bound below 0 is replaced by 0.
    lower = np.fmax(information, 0.0)
    known = known_entropy(rows.attrs.get("ratedistortion", {}).get("settings", {}))
    if known is not None:
        less = np.maximum(known[0] * factor - distortion, 0.0)
        lower = np.fmax(lower, less)
        name, look, colour = "lower bound H − D", "^-", style.GREEN
    else:
        less = rows["negative_elbo"].min() - distortion
        less = np.where(less > 0, less, np.nan)
        name, look, colour = "H − D (H ≤ best −ELBO)", "--", "black"
    handles["I(X;Z) lies here"] = axes.fill_between(
        places,
        lower,
        # Two bounds that are estimated may cross by their errors: then the band has no height.
        np.fmax(lower, upper),
        color=style.ORANGE,
        alpha=0.25,
        linewidth=0,
    )
    # R is drawn first and has the largest marker, so that it shows behind an equal value.
    for label, values, shape, size, each in (
        ("rate R", rate, "s-", 4.5, style.BLUE),
        ("upper bound", upper, "v-", 3.8, style.PURPLE),
        ("lower bound I(n;z)", information, "o-", 3.0, style.ORANGE),
        (name, less, look, 2.5, colour),
    ):
        (handles[label],) = axes.plot(
            places, values, shape, color=each, markersize=size, linewidth=0.8
        )
    ceiling = float((rows if len(rows) else suspects)["log_examples"].iloc[0])
    style.ceiling(axes, ceiling, style.GREY, ":")
    if len(suspects):
        place = scale.place(suspects["beta"])
        handles["R of suspect runs"] = style.suspects(
            axes, place, suspects["rate"], "s", style.BLUE
        )
    _information_axis(
        axes, np.concatenate([rate, upper, information, less, [ceiling], suspects["rate"]])
    )
    return handles


def _information_axis(axes: Axes, shown: Float[np.ndarray, " values"]) -> None:
    """A logarithmic y axis, unless values near 0 or below it need one that is linear there."""
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if low > high / 1000:
        style.logarithmic(axes, low / 1.4, 1.4 * high)
    else:
        style.symmetric_log(axes, min(low, 0.0), high)
