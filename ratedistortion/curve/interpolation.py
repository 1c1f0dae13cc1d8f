"""Between the points of a sweep: D and beta at a rate, R and beta at a distortion."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ratedistortion.curve.points import Points
from ratedistortion.errors import SettingsError


class Place(NamedTuple):
    """A place on the curve, in the unit of the points."""

    beta: float
    """NaN between beta = 0 and the next beta: the logarithm of 0 is not finite."""
    rate: float
    distortion: float


def at_rate(points: Points, rate: float) -> Place:
    """D and beta where the curve passes a rate.

    D and log beta, each as a function of R, are interpolated by monotone cubics (PCHIP) through
    the points that no other point beats in both R and D. Nothing is extrapolated.

    Args:
        points: Points of one sweep.
        rate: The R to look up, in the unit of the points.

    Returns:
        R, D and beta of a model that was not trained: between points far apart they are a guess.
        They have no standard error.

    Raises:
        SettingsError: If the rate lies outside of those points, or there are fewer than two; the
            text has the range.

    Source: Fritsch and Butland, "A method for constructing local monotone piecewise cubic
    interpolants", 1984.
    """
    return _at(points, rate, "rate")


def at_distortion(points: Points, distortion: float) -> Place:
    """R and beta where the curve passes a distortion, with R a function of D.

    Args:
        points: Points of one sweep.
        distortion: The D to look up, in the unit of the points.

    Returns:
        As of `at_rate`.

    Raises:
        SettingsError: If the distortion lies outside of the points, or there are fewer than two.
    """
    return _at(points, distortion, "distortion")


def frontier(points: Points) -> Int[np.ndarray, " frontier"]:
    """The points that no other point beats in both R and D.

    Args:
        points: Points of one sweep.

    Returns:
        Their indices, by increasing R and decreasing D.
    """
    kept: list[int] = []
    for n in np.lexsort((points.distortion, points.rate)).tolist():
        if not kept or points.distortion[n] < points.distortion[kept[-1]]:
            kept.append(n)
    return np.array(kept, int)


def _at(points: Points, target: float, name: str) -> Place:
    from scipy.interpolate import PchipInterpolator

    kept = frontier(points)
    kept = kept[np.argsort(getattr(points, name)[kept])]
    x = getattr(points, name)[kept]
    if len(kept) < 2:
        raise SettingsError(
            f"a target {name} needs two points that differ: got {len(kept)}; sweep more betas."
        )
    if not x.min() <= target <= x.max():
        raise SettingsError(
            f"the target {name} must lie within the sweep, {x.min():.4g} to {x.max():.4g}: "
            f"got {target:g}; sweep other betas to go beyond."
        )
    other = "distortion" if name == "rate" else "rate"
    found = {name: float(target)}
    found[other] = float(PchipInterpolator(x, getattr(points, other)[kept])(target))
    positive = points.beta[kept] > 0
    x, beta = x[positive], points.beta[kept][positive]
    found["beta"] = np.nan
    if len(x) > 1 and x[0] <= target <= x[-1]:
        found["beta"] = float(np.exp(PchipInterpolator(x, np.log(beta))(target)))
    return Place(**found)
