r"""Compares the slope of the curve with -beta, which shows how converged a sweep is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ratedistortion.curve.points import Points, collapsed

VERDICTS = ("converged", "under-trained", "unclear")
# A ratio may differ from 1 by this, in addition to its bend and to its standard errors.
_RATIO_TOLERANCE = 0.05
# How many standard errors a ratio may be off by chance.
_RATIO_SIGMAS = 2.0
# How many standard errors a regret may be above 0 by chance: more than for a ratio, because a
# regret is the largest of many differences.
_REGRET_SIGMAS = 3.0
# Number of neighbours whose ratios, all off to the same side, count whatever their errors are.
_NEIGHBOURS = 5
# If the bend and the standard errors of a ratio together exceed this, the verdict is `unclear`.
_MAX_DOUBT = 0.25


class Slopes(NamedTuple):
    """The slope at each point and the verdict on it; NaN where there is no slope."""

    slope: Float[np.ndarray, " betas"]
    """dD/dR; at an optimum, -beta."""
    slope_se: Float[np.ndarray, " betas"]
    """Standard error of the slope."""
    ratio: Float[np.ndarray, " betas"]
    """slope / -beta; at an optimum, 1."""
    bend: Float[np.ndarray, " betas"]
    """How far the ratio may be from 1 at an optimum because the betas lie far apart."""
    regret: Float[np.ndarray, " betas"]
    """Loss D + beta R of the point, minus the least loss that another point has at this beta."""
    regret_se: Float[np.ndarray, " betas"]
    """Standard error of the regret."""
    verdict: list[str]
    """One of `VERDICTS` for each point."""


def slopes(points: Points) -> Slopes:
    r"""Local slope dD/dR at each beta against -beta, and a verdict on each point.

    Where every model is the optimum of D + beta R, dD = -beta dR along the curve. Between two
    neighbours i and i+1 with R linear in log beta, that makes
    $$D_{i+1} - D_i = L_i (R_i - R_{i+1}), \quad
      L_i = \frac{\beta_{i+1} - \beta_i}{\ln \beta_{i+1} - \ln \beta_i}.$$
    The slope at a point is measured over the intervals at its two sides (at an end: over one). So
    measured, it belongs to the mean beta of these intervals and not to the point's own beta. The
    same formula corrects for that:
    $$\mathrm{ratio}_i = \frac{\sum \Delta D}{-\sum L\, \Delta R}, \qquad
      \mathrm{slope}_i = -\beta_i\, \mathrm{ratio}_i.$$
    Each interval is weighted by the rate that is lost over it, so unequal spacing needs no other
    weight. If R is not linear in log beta inside an interval, the ratio of an optimum may differ
    from 1. `bend` bounds the difference, if -dR/d log beta inside the interval lies between the
    means of the interval and of its two neighbours: with r the range of these three means and
    m = L / beta_i, Delta D is off by at most
    $$r\, \beta_i\, (m \ln m - m + 1) \approx r\, \beta_i\, (\ln \beta_{i+1} / \beta_i)^2 / 8.$$

    A point is `under-trained` if one of these holds, se being a standard error:

    - |ratio - 1| > 0.05 + bend + 2 se;
    - its regret is above 0 by more than 3 se: another point of the sweep has a lower loss at this
      beta. An optimum has no regret, whatever the family of models, and this test needs no bend;
    - it is one of at least five neighbours whose ratios are all off by more than 0.05 + bend, to
      the same side. Errors that are only too wide would leave ratios on both sides of 1.

    Otherwise it is `converged`, or `unclear` where nothing can be said: bend + 2 se of the ratio is
    above 0.25, as for betas a factor of ten apart, or there is no ratio. A collapsed point, R = 0,
    has no slope; it is `converged` if a point that has not collapsed has no lower loss at its beta.
    Beta = 0 has no logarithm; it is `converged` if no other point has a lower distortion. The
    interval beside it is left out of the slope at the next beta, as are intervals of no length,
    between target rates that ended at the same beta. A point without a beta is `unclear`.

    What to beware of:

    - Standard errors treat different betas as independent. All are measured on the same images, so
      differences are more certain than that. The third test makes up for it.
    - A ratio of 1 is necessary for an optimum, not sufficient. A model that is too small has it
      too, and a sweep whose runs all stopped equally early may have it.
    - Only the loss on the training images has an optimum there. On other images, overfitting moves
      the ratio too.
    - Where seeds end differently (one more latent collapsed), the mean over seeds lies above the
      curve.

    Args:
        points: Points of one sweep, in any one unit.

    Returns:
        Slopes, ratios and bends, which have no unit, regrets in the unit of the points, and one
        verdict for each point.

    Source: Alemi et al., "Fixing a Broken ELBO", 2018, section 3, for dD/dR = -beta; Rose, "A
    mapping approach to rate-distortion computation", 1994, for what happens between betas.
    """
    count = len(points.beta)
    flat = collapsed(points)
    ratio, ratio_se, bend = np.full((3, count), np.nan)
    for i in np.flatnonzero(~flat).tolist():
        ratio[i], ratio_se[i], bend[i] = _ratio(points, i)
    regret, regret_se = _regret(points)
    # The regret of points that coincide is the rounding error of a loss in float64, and not 0.
    rounding = 1e-9 * (abs(points.distortion) + points.beta * abs(points.rate))
    together = _off_together(ratio, bend)
    verdict = []
    for i in range(count):
        doubt = bend[i] + _RATIO_SIGMAS * ratio_se[i]
        worse = regret[i] > _REGRET_SIGMAS * regret_se[i] + rounding[i]
        if worse or together[i] or abs(ratio[i] - 1) > _RATIO_TOLERANCE + doubt:
            verdict.append("under-trained")
        elif np.isnan(points.beta[i]):
            verdict.append("unclear")
        elif flat[i] or points.beta[i] == 0:
            verdict.append("converged" if np.any(~flat & (np.arange(count) != i)) else "unclear")
        else:
            verdict.append("converged" if doubt <= _MAX_DOUBT else "unclear")
    scale = points.beta
    return Slopes(-scale * ratio, scale * ratio_se, ratio, bend, regret, regret_se, verdict)


def _ratio(points: Points, i: int) -> tuple[float, float, float]:
    """Ratio, its standard error and its bend at one point."""
    beta, count = points.beta, len(points.beta)
    # These weights of D and of R give Delta D and -L Delta R, summed over both intervals.
    gain, lost, bend = np.zeros(count), np.zeros(count), 0.0
    for low in (i - 1, i):
        if 0 <= low < count - 1 and 0 < beta[low] < beta[low + 1]:
            mean = (beta[low + 1] - beta[low]) / np.log(beta[low + 1] / beta[low])
            change = np.zeros(count)
            change[[low, low + 1]] = -1, 1
            gain += change
            lost -= mean * change
            bend += _bend(points, low, mean)
    fall = float(lost @ points.rate)
    if not fall > 0:
        return np.nan, np.nan, np.nan
    ratio = float(gain @ points.distortion) / fall
    error = float(np.sqrt(np.sum(points.variance(-ratio * lost, gain)))) / fall
    return ratio, error, bend / fall


def _bend(points: Points, low: int, mean: float) -> float:
    """How far D at the end of an interval can be from what R linear in log beta makes of it."""
    beta, rate = points.beta, points.rate
    # A neighbour without an interval of its own says nothing.
    first = low - 1 if low > 0 and 0 < beta[low - 1] < beta[low] else low
    last = low + 2 if low + 2 < len(beta) and beta[low + 1] < beta[low + 2] else low + 1
    ends = slice(first, last + 1)
    steps = np.diff(np.log(beta[ends]))
    speeds = -np.diff(rate[ends]) / steps
    # In the worst case R falls only at one end of the interval.
    largest = abs(rate[low] - rate[low + 1])
    if last - first == 3:
        m = mean / beta[low]
        curved = np.ptp(speeds) * beta[low] * (m * np.log(m) - m + 1)
        return float(min(curved, largest * (beta[low + 1] - mean)))
    # The first and the last interval have one neighbour. In the worst case R falls at the speed of
    # the neighbour, and the rest of its fall lies at one end.
    if last - first == 2:
        largest = min(largest, np.ptp(speeds) * steps[low - first])
    return float(largest * (beta[low + 1] - mean))


def _off_together(ratio: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Which points are among enough neighbours whose ratios are all off to the same side."""
    off = np.where(np.abs(ratio - 1) > _RATIO_TOLERANCE + bend, np.sign(ratio - 1), 0.0)
    found = np.zeros(len(off), bool)
    for start in range(len(off) - _NEIGHBOURS + 1):
        window = off[start : start + _NEIGHBOURS]
        if abs(window.sum()) == _NEIGHBOURS:
            found[start : start + _NEIGHBOURS] = True
    return found


def _regret(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Regret of each point and its standard error.

    Each point is compared with the other point that is better by the most standard errors; if none
    is better, with the one that is worse by the fewest.
    """
    count = len(points.beta)
    regret, error = np.full((2, count), np.nan)
    for i, beta in enumerate(points.beta):
        loss = points.distortion + beta * points.rate
        variance = points.variance(np.full(count, beta), np.ones(count))
        difference = loss[i] - np.delete(loss, i)
        spread = np.sqrt(variance[i] + np.delete(variance, i))
        if len(difference):
            best = int(np.argmax(difference / np.maximum(spread, 1e-300)))
            regret[i], error[i] = difference[best], spread[best]
    return regret, error
