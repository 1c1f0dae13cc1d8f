"""Everything that one sweep's curve says, at once."""

from typing import Any, NamedTuple

import numpy as np
import pandas
from jaxtyping import Int

from ratedistortion.curve.hull import lower_convex_hull
from ratedistortion.curve.points import Points, points_of
from ratedistortion.curve.regimes import Regimes, regimes
from ratedistortion.curve.slopes import Slopes, slopes


class Best(NamedTuple):
    """The run with the best ELBO, which is the smallest R + D."""

    beta: float
    """NaN where the table does not say it."""
    seed: int | None
    """None where the table does not say it."""
    negative_elbo: float
    negative_elbo_se: float


class Analysis(NamedTuple):
    """What `analyse` finds; R, D and the ELBO are in the unit of the rows."""

    points: Points
    slopes: Slopes
    regimes: Regimes | None
    hull: Int[np.ndarray, " corners"]
    """Indices of the points on the lower convex hull, by increasing rate."""
    best: Best


def analyse(rows: pandas.DataFrame) -> Analysis:
    """Makes a curve of the rows of one split: points, hull, slopes, regimes and the best ELBO.

    The best ELBO is that of one run, not of a mean over seeds.

    Args:
        rows: One split of a table, in any unit; the status of at least one row must be `ok`. Rows
            of another status are left out.

    Returns:
        All findings. The best R + D is an upper bound of the negative log likelihood of the images
        that were measured, within its standard error. As the smallest of several noisy numbers it
        is too small, by about one standard error for a handful of runs that are equally good. On
        training images it says nothing about other images.

    Raises:
        ValueError: If no row is ok.
    """
    good = rows.loc[rows["status"] == "ok"]
    if good.empty:
        raise ValueError("no run is ok: there is no curve.")
    points = points_of(good)
    best: Any = good.loc[[good["negative_elbo"].idxmin()], list(Best._fields)]
    best = Best(**best.to_dict("records")[0])
    best = best._replace(seed=None if pandas.isna(best.seed) else best.seed)
    hull = lower_convex_hull(points.rate, points.distortion)
    return Analysis(points, slopes(points), regimes(points), hull, best)
