r"""Two sweeps against each other: Bjontegaard's differences."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ratedistortion.curve.interpolation import frontier
from ratedistortion.curve.points import Points, collapsed
from ratedistortion.errors import SettingsError


class Comparison(NamedTuple):
    """The second sweep as against the first; below 0 the second is the better one."""

    rate_percent: float
    """BD-rate: how much more rate the second needs at the same distortion, on average."""
    distortion: float
    """BD-distortion: how much more distortion it has at the same rate, in the points' unit."""
    rates: tuple[float, float]
    """The rates that both have, over which the distortions are compared."""
    distortions: tuple[float, float]
    """The distortions that both have, over which the rates are compared."""


def compare(first: Points, second: Points) -> Comparison:
    r"""BD-rate and BD-distortion of two sweeps, over the range that they share.

    $$\text{BD-rate} = \exp\Big(\frac{1}{|I|} \int_I \ln R_2(D) - \ln R_1(D)\, dD\Big) - 1,
      \qquad
      \text{BD-distortion} = \frac{1}{|J|} \int_J D_2 - D_1 \; d \ln R,$$
    I the distortions and J the logarithms of the rates that both have, with each curve
    interpolated by monotone cubics (PCHIP) through the points that no other beats in both R and
    D. Collapsed points, R = 0, have no logarithm and are left out.

    Means nothing between sweeps of different data, likelihoods or splits, whose D are different
    quantities. Says little where the shared range is a small part of either sweep, or has fewer
    than four points (what Bjontegaard used). BD-rate is dominated by the low-rate end, where a
    small difference is a large ratio. No error bar: compare seeds to see how far it moves.

    Args:
        first: The sweep that is compared with.
        second: The sweep that is judged, in the same unit.

    Raises:
        SettingsError: If a sweep has fewer than two points, or they share no range.

    Source: Bjontegaard, "Calculation of average PSNR differences between RD-curves", ITU-T
    VCEG-M33, 2001; with piecewise cubics, Bjontegaard, VCEG-AI11, 2008.
    """
    curves = [_curve(points) for points in (first, second)]
    if min(len(log_rate) for log_rate, _ in curves) < 2:
        raise SettingsError("to compare sweeps, each needs two points that differ, of R above 0.")
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
