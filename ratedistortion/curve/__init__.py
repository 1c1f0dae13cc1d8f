"""What the points of one sweep say as a curve: hull, slopes, regimes, interpolation."""

from ratedistortion.curve.analysis import Analysis, analyse
from ratedistortion.curve.comparison import compare
from ratedistortion.curve.hull import lower_convex_hull
from ratedistortion.curve.interpolation import at_distortion, at_rate
from ratedistortion.curve.objection import objection
from ratedistortion.curve.points import Points, collapsed, points_of
from ratedistortion.curve.regimes import REGIMES, regimes
from ratedistortion.curve.slopes import VERDICTS, slopes

__all__ = [
    "REGIMES",
    "VERDICTS",
    "Analysis",
    "Points",
    "analyse",
    "at_distortion",
    "at_rate",
    "collapsed",
    "compare",
    "lower_convex_hull",
    "objection",
    "points_of",
    "regimes",
    "slopes",
]
