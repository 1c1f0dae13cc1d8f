r"""Compares two sweeps by Bjontegaard's differences."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ratedistortion.curve.interpolation import frontier
from ratedistortion.curve.points import Points, collapsed
from ratedistortion.errors import SettingsError


class Comparison(NamedTuple):
    """How the second sweep differs from the first; below 0, the second is better."""

    rate_percent: float
    """BD-rate: how much more rate the second needs at the same distortion, in percent."""
    distortion: float
    """BD-distortion: how much more distortion it has at the same rate, in the points' unit."""
    rates: tuple[float, float]
    """The range of rates that both have; distortions are compared over it."""
    distortions: tuple[float, float]
    """The range of distortions that both have; rates are compared over it."""


def compare(first: Points, second: Points) -> Comparison:
    r"""BD-rate and BD-distortion of two sweeps, over the range that they share.

    $$\text{BD-rate} = \exp\Big(\frac{1}{|I|} \int_I \ln R_2(D) - \ln R_1(D)\, dD\Big) - 1,
      \qquad
      \text{BD-distortion} = \frac{1}{|J|} \int_J D_2 - D_1 \; d \ln R,$$
    where I is the range of distortions that both sweeps have, and J that of ln R. Each curve is
    interpolated by monotone cubics (PCHIP) through the points that no other point beats in both R
    and D. Collapsed points, R = 0, have no logarithm and are left out.

    The comparison means nothing between sweeps of different data, likelihoods or splits: their D
    are different quantities. It says little where the shared range is a small part of either
    sweep, or has fewer than four points, which is what Bjontegaard used. The end of low rates
    dominates BD-rate, because a small difference is a large ratio there.

    Args:
        first: Points of the sweep that is the reference.
        second: Points of the sweep that is judged, in the same unit.

    Returns:
        Both differences and the ranges that they are means over. They have no standard error:
        compare several seeds to see how far they move.

    Raises:
        SettingsError: If a sweep has fewer than two points, or they share no range.

    Source: Bjontegaard, "Calculation of average PSNR differences between RD-curves", ITU-T
    VCEG-M33, 2001; with piecewise cubics, Bjontegaard, VCEG-AI11, 2008.
    """
    curves = [_curve(points) for points in (first, second)]
    counts = [len(log_rate) for log_rate, _ in curves]
    if min(counts) < 2:
        raise SettingsError(
            "to compare sweeps, each needs two points with R above 0 that no other point beats: "
            f"got {counts[0]} and {counts[1]}."
        )
    log_rates = _shared([log_rate for log_rate, _ in curves], "rate", np.exp)
    distortions = _shared([distortion for _, distortion in curves], "distortion", np.asarray)
    higher = [_mean(log_rate, distortion, *log_rates) for log_rate, distortion in curves]
    longer = [
        _mean(distortion[::-1], log_rate[::-1], *distortions) for log_rate, distortion in curves
    ]
    low, high = np.exp(log_rates)
    percent = 100 * np.expm1(longer[1] - longer[0])
    return Comparison(float(percent), higher[1] - higher[0], (float(low), float(high)), distortions)


def _curve(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """ln R, increasing, and D, decreasing."""
    kept = frontier(points)
    kept = kept[(points.rate[kept] > 0) & ~collapsed(points)[kept]]
    return np.log(points.rate[kept]), points.distortion[kept]


def _shared(values: list[np.ndarray], name: str, shown) -> tuple[float, float]:
    low, high = max(each.min() for each in values), min(each.max() for each in values)
    if not low < high:
        ranges = " and ".join(
            f"{float(shown(each.min())):.4g} to {float(shown(each.max())):.4g}" for each in values
        )
        raise SettingsError(f"to compare sweeps, their {name}s must overlap: got {ranges}.")
    return float(low), float(high)


def _mean(
    x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], low: float, high: float
) -> float:
    from scipy.interpolate import PchipInterpolator

    return float(PchipInterpolator(x, y).integrate(low, high)) / (high - low)
