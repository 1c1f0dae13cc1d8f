"""Everything that one sweep's curve says, at once."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Int

from ratedistortion.curve.hull import lower_convex_hull
from ratedistortion.curve.points import Points, points_of
from ratedistortion.curve.regimes import Regimes, regimes
from ratedistortion.curve.slopes import Slopes, slopes

if TYPE_CHECKING:
    import pandas


class Best(NamedTuple):
    """The run with the best ELBO."""

    beta: float
    seed: int
    negative_elbo: float
    negative_elbo_se: float


class Analysis(NamedTuple):
    """What `analyse` found; R, D and the ELBO in the unit of the rows."""

    points: Points
    slopes: Slopes
    regimes: Regimes | None
    hull: Int[np.ndarray, " corners"]
    """Indices of the points on the lower convex hull, by increasing rate."""
    best: Best
    left_out: int
    """Rows that diverged or are suspect."""


def analyse(rows: "pandas.DataFrame") -> Analysis:
    """Reads the rows of one split as a curve: points, hull, slopes, regimes and the best ELBO.

    The best ELBO is that of a run, not of a mean over seeds. As the least of several noisy numbers
    it is a little too good: by about its standard error for a handful of runs that are equally
    good. It is an upper bound of the negative log likelihood of the images measured, within its
    error; on the images that were trained on, it says nothing of others.

    Args:
        rows: One split of a table, at least one of which is `ok`, in any unit.

    Raises:
        ValueError: If none is.
    """
    good = rows.loc[rows["status"] == "ok"]
    if good.empty:
        raise ValueError("no run is ok: there is no curve.")
    points = points_of(good)
    first = good.loc[good["negative_elbo"].idxmin()]
    best = Best(
        *(float(first["beta"]), int(first["seed"])),
        *(float(first[name]) for name in ("negative_elbo", "negative_elbo_se")),
    )
    hull = lower_convex_hull(points.rate, points.distortion)
    return Analysis(
        points, slopes(points), regimes(points), hull, best, left_out=len(rows) - len(good)
    )
