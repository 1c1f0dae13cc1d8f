"""The lower convex hull: the points that have the lowest loss at some beta."""

import numpy as np
from jaxtyping import Float, Int


def lower_convex_hull(
    rate: Float[np.ndarray, " points"], distortion: Float[np.ndarray, " points"]
) -> Int[np.ndarray, " hull"]:
    r"""The points that minimise D + beta R for some beta of at least 0.

    Every place on the segment between two of them can be reached: use one model for a share of the
    images and the other model for the rest.

    Args:
        rate: R of each point, in any unit, finite.
        distortion: D of each point, in the same unit, finite.

    Returns:
        Indices of the hull's corners, in order of increasing rate and decreasing distortion;
        points inside an edge are left out. The hull of single runs is biased: it lies a little
        below the mean over seeds, because it picks runs whose noise is favourable.

    Source: Andrew, "Another efficient algorithm for convex hulls in two dimensions", 1979.
    """
    hull: list[int] = []
    for point in np.lexsort((distortion, rate)).tolist():
        while len(hull) > 1 and _turn(rate, distortion, hull[-2], hull[-1], point) <= 0:
            hull.pop()
        # Of the points of one rate the lowest comes first; the others are above the hull.
        if not hull or rate[point] > rate[hull[-1]]:
            hull.append(point)
    corners = np.array(hull, int)
    # Beyond the lowest distortion the hull rises again: there, more rate gains nothing.
    return corners[: int(np.argmin(distortion[corners])) + 1] if hull else corners


def _turn(x: np.ndarray, y: np.ndarray, a: int, b: int, c: int) -> float:
    """Twice the signed area of the triangle a, b, c: above 0 where the path turns left."""
    return (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])
