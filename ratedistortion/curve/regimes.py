r"""Divides a curve into autoencoder, semantic encoder, semantic decoder and autodecoder."""

import math
from typing import NamedTuple

import numpy as np

from ratedistortion.curve.points import Points

REGIMES = ("autoencoder", "semantic encoder", "semantic decoder", "autodecoder")
_EIGHTH = math.pi / 8  # the angle that each regime spans, in radians


class Regimes(NamedTuple):
    """The betas at which the regimes meet, and the regime of each point."""

    knee: float
    """Beta* of the knee: in normalised coordinates, R and D change equally fast there."""
    semantic: tuple[float, float]
    """The lowest and the highest beta of the two semantic regimes, which meet at beta*."""
    both_fast: tuple[float, float] | None
    """The ends of the knee, between which R and D both change fast; None if there is no knee."""
    regime: list[str]
    """One of `REGIMES` for each point."""


def regimes(points: Points) -> Regimes | None:
    r"""The regimes of a sweep, from how its curve turns in normalised coordinates.

    With R and D of the sweep scaled to [0, 1], a convex curve turns from flat (D hardly moves as R
    falls: the autoencoder end) to upright (R hardly falls as D moves: the autodecoder end). The
    angle of the curve at the optimum of one beta is
    $$\phi(\beta) = \arctan(\beta / \beta^*), \qquad
      \beta^* = (D_{max} - D_{min}) / (R_{max} - R_{min}),$$
    which is 45 degrees at beta*. The quarter turn is divided into four equal
    parts: up to 22.5 degrees `autoencoder`, up to 45 `semantic encoder`, up to 67.5 `semantic
    decoder`, then `autodecoder`. If the curve has a corner, the whole turn is there, and so are
    both semantic regimes: at a corner one code is the best for a whole range of betas.

    The knee is the part of the curve where R and D both change fast: from one beta to the next,
    each moves, per unit of log beta, at least half as fast as on average over the sweep. If there
    are several such parts, the longest one in log beta is returned.

    The regimes mean nothing if the sweep does not reach both ends: R_max and D_min are those of its
    smallest beta, and if the data are not discrete, R_max grows without bound as beta falls. Sweeps
    over different betas have different knees. Of a sweep that is under-trained, they are the
    regimes of an optimum with the same ends.

    Args:
        points: Points of one sweep.

    Returns:
        Betas and one regime for each point, whatever the unit of the points. None if R or D is the
        same at every beta, if there are fewer than three betas, or if a point has none.

    Source: the names of the two ends and the range between are those of Alemi et al., "Fixing a
    Broken ELBO", 2018, section 3; the cuts are ours.
    """
    if len(points.beta) < 3 or np.isnan(points.beta).any():
        return None
    height, width = (float(np.ptp(values)) for values in (points.distortion, points.rate))
    if not (height > 0 and width > 0):
        return None
    knee = height / width
    angle = np.arctan(points.beta / knee)
    places = np.minimum((angle / _EIGHTH).astype(int), len(REGIMES) - 1)
    semantic = (knee * math.tan(_EIGHTH), knee * math.tan(3 * _EIGHTH))
    return Regimes(knee, semantic, _both_fast(points), [REGIMES[n] for n in places])


def _both_fast(points: Points) -> tuple[float, float] | None:
    positive = points.beta > 0
    beta = points.beta[positive]
    if len(beta) < 3:
        return None
    steps = np.diff(np.log(beta))
    fast = np.ones(len(steps), bool)
    for values in (-points.rate[positive], points.distortion[positive]):
        whole = values[-1] - values[0]
        fast &= (whole > 0) & (np.diff(values) * steps.sum() >= whole * steps / 2)
    best, length, start = None, 0.0, 0
    for n, each in enumerate(fast):
        start = start if each else n + 1
        if each and (found := float(steps[start : n + 1].sum())) > length:
            best, length = (float(beta[start]), float(beta[n + 1])), found
    return best
