r"""The slope of the curve beside -beta: how converged a sweep is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ratedistortion.curve.points import Points, collapsed

VERDICTS = ("converged", "under-trained", "unclear")
TOLERANCE = 0.05
SIGMAS = 2.0
REGRET_SIGMAS = 3.0  # the largest of many differences: chance has more ways to make it
RUN = 5
WIDEST = 0.25  # what bend and SIGMAS errors may be together; beyond, a slope says nothing


class Slopes(NamedTuple):
    """The slope at each point, and what it says; NaN where there is none."""

    slope: Float[np.ndarray, " betas"]
    """dD/dR; at an optimum, -beta."""
    slope_se: Float[np.ndarray, " betas"]
    """Standard error of the slope."""
    ratio: Float[np.ndarray, " betas"]
    """slope / -beta; at an optimum, 1."""
    bend: Float[np.ndarray, " betas"]
    """How far the ratio may be from 1 at an optimum because the betas lie far apart."""
    regret: Float[np.ndarray, " betas"]
    """Loss D + beta R of the point, less the least that another point has at this beta."""
    regret_se: Float[np.ndarray, " betas"]
    """Standard error of the regret."""
    verdict: list[str]
    """One of `VERDICTS` each."""


def slopes(points: Points) -> Slopes:
    r"""Local slope dD/dR at each beta against -beta, and a verdict on each point.

    Where every model is the optimum of D + beta R, dD = -beta dR along the curve. Between two
    neighbours i and i+1 with R linear in log beta, that makes
    $$D_{i+1} - D_i = L_i (R_i - R_{i+1}), \quad
      L_i = \frac{\beta_{i+1} - \beta_i}{\ln \beta_{i+1} - \ln \beta_i}.$$
    The slope at a point is measured over the intervals at its two sides (one, at an end), and
    stands for the mean beta of these intervals rather than for the point's own, which is put
    right by the same formula:
    $$\mathrm{ratio}_i = \frac{\sum \Delta D}{-\sum L\, \Delta R}, \qquad
      \mathrm{slope}_i = -\beta_i\, \mathrm{ratio}_i.$$
    An interval counts by the rate that is lost over it, so uneven spacing needs no other weight.
    If R is not linear in log beta inside an interval, an optimum may have another ratio. `bend`
    bounds by how much, if -dR/d log beta there lies between its means over the intervals at both
    sides: with r the range of these three means and m = L / beta_i, Delta D is off by at most
    $$r\, \beta_i\, (m \ln m - m + 1) \approx r\, \beta_i\, (\ln \beta_{i+1} / \beta_i)^2 / 8.$$

    A point is `under-trained` if one of these holds, se being a standard error:

    - |ratio - 1| > 0.05 + bend + 2 se;
    - its regret is above 0 by 3 se: another point of the sweep has a lower loss at this very beta.
      An optimum of whatever family of models has no regret: this test knows no bend;
    - it is one of five neighbours or more whose ratios all are off by more than 0.05 + bend, to
      the same side. Error bars that are too wide leave ratios on both sides of 1.

    Else it is `converged`, unless nothing can be said, which is `unclear`: bend + 2 se of the ratio
    is above 0.25, as between betas a decade apart, or there is no ratio. A collapsed point, R = 0,
    has no slope; it is `converged` if some point that has not collapsed says at its beta that it
    does no better. So is beta = 0, which has no logarithm, if no other point has a lower
    distortion; the interval beside it is left out of the slope at the next beta.

    Beware: standard errors take different betas as independent. They are measured on the same
    images, so differences are surer than that, which is why the third test is there. A ratio of 1
    is necessary for an optimum, not sufficient: a model that is too small has it too, and a sweep
    that was stopped early everywhere alike may. It is the loss on the images trained on that has
    an optimum: on others, overfitting moves the ratio as well. And where seeds differ in what they
    found (one more latent collapsed) the mean over seeds lies above the curve.

    Args:
        points: Of one sweep.

    Returns:
        For each point. Slopes and regrets are in the units of the points (a slope has none).

    Source: Alemi et al., "Fixing a Broken ELBO", 2018, section 3, for dD/dR = -beta; Rose, "A
    mapping approach to rate-distortion computation", 1994, for what happens between betas.
    """
    count = len(points.beta)
    flat = collapsed(points)
    ratio, ratio_se, bend = np.full((3, count), np.nan)
    for i in range(count):
        ratio[i], ratio_se[i], bend[i] = _ratio(points, flat, i)
    regret, regret_se = _regret(points)
    together = _run_of_ratios(ratio, bend)
    verdict = []
    for i in range(count):
        doubt = bend[i] + SIGMAS * ratio_se[i]
        worse = regret[i] > REGRET_SIGMAS * regret_se[i] + _rounding(points, i)
        if worse or together[i] or abs(ratio[i] - 1) > TOLERANCE + doubt:
            verdict.append("under-trained")
        elif flat[i] or points.beta[i] == 0:
            verdict.append("converged" if np.any(~flat & (np.arange(count) != i)) else "unclear")
        else:
            verdict.append("converged" if doubt <= WIDEST else "unclear")
    scale = points.beta
    return Slopes(-scale * ratio, scale * ratio_se, ratio, bend, regret, regret_se, verdict)


def _ratio(points: Points, flat: np.ndarray, i: int) -> tuple[float, float, float]:
    """Ratio, its standard error and its bend at one point."""
    beta, count = points.beta, len(points.beta)
    gain, lost, bend = np.zeros(count), np.zeros(count), 0.0  # weights of D and of R
    for low in (i - 1, i):
        if low < 0 or low + 1 >= count or beta[low] == 0 or flat[i]:
            continue
        mean = (beta[low + 1] - beta[low]) / np.log(beta[low + 1] / beta[low])
        gain += np.eye(count)[low + 1] - np.eye(count)[low]
        lost += mean * (np.eye(count)[low] - np.eye(count)[low + 1])
        bend += _bend(points, low, mean)
    fall = float(lost @ points.rate)
    if not fall > 0:
        return np.nan, np.nan, np.nan
    ratio = float(gain @ points.distortion) / fall
    error = float(np.sqrt(np.sum(points.variance(-ratio * lost, gain)))) / fall
    return ratio, error, bend / fall


def _bend(points: Points, low: int, mean: float) -> float:
    """How far D can move over one interval, against what a straight R would make of it."""
    beta, rate = points.beta, points.rate
    ends = [n for n in range(max(low - 1, 0), min(low + 3, len(beta))) if beta[n] > 0]
    steps = np.diff(np.log(beta[ends]))
    speeds = -np.diff(rate[ends]) / steps
    here = ends.index(low)
    largest = abs(rate[low] - rate[low + 1])  # all of the fall at one of the two betas
    if len(steps) == 3:
        m = mean / beta[low]
        return min(
            float(np.ptp(speeds) * beta[low] * (m * np.log(m) - m + 1)),
            float(largest * (beta[low + 1] - mean)),
        )
    if len(steps) == 2:  # what R does beyond is not known: what the other side leaves unexplained
        largest = min(largest, float(np.ptp(speeds) * steps[here]))
    return float(largest * (beta[low + 1] - mean))


def _run_of_ratios(ratio: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Which points are in a long run of ratios that are off to one side."""
    off = np.where(np.abs(ratio - 1) > TOLERANCE + bend, np.sign(ratio - 1), 0.0)
    found = np.zeros(len(off), bool)
    for start in range(len(off) - RUN + 1):
        window = off[start : start + RUN]
        if abs(window.sum()) == RUN:
            found[start : start + RUN] = True
    return found


def _regret(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Against the other point that is the most surely better, or the least surely worse."""
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


def _rounding(points: Points, i: int) -> float:
    """What float64 leaves of a loss; where points coincide their regret is that, not 0."""
    return 1e-9 * float(abs(points.distortion[i]) + points.beta[i] * abs(points.rate[i]))
