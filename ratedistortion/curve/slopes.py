r"""The slope of the curve beside -beta: how converged a sweep is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ratedistortion.curve.points import Points, collapsed

VERDICTS = ("converged", "under-trained", "unclear")
TOLERANCE = 0.05
SIGMAS = 2.0
WIDEST = 0.25  # relative error, SIGMAS of it, beyond which a slope says nothing


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
    If R bends between the betas, a ratio of an optimum may differ from 1 by about
    $$\mathrm{bend}_i = \frac{h}{4}\,\frac{|r' - r''|}{|r'| + |r''|},$$
    h the mean width of the intervals in ln beta, r' and r'' the slopes of R in ln beta at both
    sides.

    A point is `under-trained` if one of these holds, se being a standard error:

    - |ratio - 1| > 0.05 + bend + 2 se;
    - its regret is above 0 by 2 se: another point of the sweep has a lower loss at this very beta.
      An optimum of whatever family of models has no regret: this test knows no bend.

    Else it is `converged`, unless nothing can be said, which is `unclear`: 2 se of the ratio is
    above 0.25, or there is no ratio. A collapsed point, R = 0, has no slope; it is `converged` if
    some point that has not collapsed says at its beta that it does no better. So is beta = 0, which
    has no logarithm, if no other point has a lower distortion; the interval beside it is left out
    of the slope at the next beta.

    Beware: errors of different betas are taken as independent. They are measured on the same
    images, so differences are surer than this says, and a doubtful point passes. A ratio of 1 is
    necessary for an optimum, not sufficient: a model that is too small, or a sweep that is stopped
    early everywhere alike, may have it. And where seeds differ in what they found (one more
    latent collapsed) the mean over seeds lies above the curve.

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
    verdict = []
    for i in range(count):
        if regret[i] > SIGMAS * regret_se[i] + _rounding(points, i):
            verdict.append("under-trained")
        elif flat[i] or points.beta[i] == 0:
            verdict.append("converged" if np.any(~flat & (np.arange(count) != i)) else "unclear")
        elif not np.isfinite(ratio[i]) or SIGMAS * ratio_se[i] > WIDEST:
            far = abs(ratio[i] - 1) > TOLERANCE + bend[i] + SIGMAS * ratio_se[i]
            verdict.append("under-trained" if far else "unclear")
        else:
            far = abs(ratio[i] - 1) > TOLERANCE + bend[i] + SIGMAS * ratio_se[i]
            verdict.append("under-trained" if far else "converged")
    scale = points.beta
    return Slopes(-scale * ratio, scale * ratio_se, ratio, bend, regret, regret_se, verdict)


def _ratio(points: Points, flat: np.ndarray, i: int) -> tuple[float, float, float]:
    """Ratio, its standard error and its bend at one point."""
    beta, rate, distortion = points.beta, points.rate, points.distortion
    sides = [
        (low, low + 1)
        for low in (i - 1, i)
        if low >= 0 and low + 1 < len(beta) and beta[low] > 0 and not flat[i]
    ]
    if not sides:
        return (np.nan,) * 3
    gain, lost = np.zeros(len(beta)), np.zeros(len(beta))  # weights of D and of R
    widths, speeds = [], []
    for low, high in sides:
        width = float(np.log(beta[high] / beta[low]))
        mean = (beta[high] - beta[low]) / width
        gain[high] += 1
        gain[low] -= 1
        lost[low] += mean
        lost[high] -= mean
        widths.append(width)
        speeds.append(abs(rate[low] - rate[high]) / width)
    fall = float(lost @ rate)
    if not fall > 0:
        return (np.nan,) * 3
    ratio = float(gain @ distortion) / fall
    error = float(np.sqrt(np.sum(points.variance(-ratio * lost, gain)))) / fall
    if len(sides) == 1:
        speeds.append(_next_speed(points, sides[0]))
    bend = np.mean(widths) / 4 * abs(speeds[0] - speeds[1]) / (speeds[0] + speeds[1])
    return ratio, error, float(bend)


def _next_speed(points: Points, side: tuple[int, int]) -> float:
    """At an end: how fast R falls in the interval after the only one; without one, not at all."""
    beta, rate = points.beta, points.rate
    for low, high in ((side[0] - 1, side[0]), (side[1], side[1] + 1)):
        if low >= 0 and high < len(beta) and beta[low] > 0:
            return float(abs(rate[low] - rate[high]) / np.log(beta[high] / beta[low]))
    return 0.0


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
