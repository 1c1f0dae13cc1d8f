"""Every threshold of a verdict, from both sides, where the numbers can be worked by hand.

Below beta = 1.25 none of the three dimensions of `exact` has collapsed. There R = c - 3/2 ln beta
and D = d + 3/2 beta, so between two betas D rises by 3/2 (beta_2 - beta_1), and L (R_1 - R_2) is
the same number.
"""

import math

import numpy as np
import pytest

from ratedistortion.curve import Points, slopes

BETAS = np.array([0.2, 0.4, 0.8])


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("off, verdict", [(0.048, "converged"), (0.052, "under-trained")])
def test_a_ratio_may_be_five_percent_off(exact, side, off, verdict):
    """Models trained with a factor times the beta that is named have that factor as ratio."""
    factor = 1 + side * off
    found = slopes(exact(factor * BETAS)._replace(beta=BETAS))
    np.testing.assert_allclose(found.ratio, factor, rtol=1e-12)
    assert found.verdict == [verdict] * 3


def with_doubt(points, doubt):
    """The same points with such errors of D that 2 se of the first ratio is the doubt.

    Over the first interval L (R_1 - R_2) = 3/2 * 0.2 = 0.3, and D_2 - D_1 has the variance 2 se^2.
    """
    errors = np.full(len(points.beta), doubt / 2 * 0.3 / math.sqrt(2))
    return points._replace(distortion_se=errors)


@pytest.mark.parametrize("doubt, verdict", [(0.24, "converged"), (0.26, "unclear")])
def test_a_ratio_may_be_uncertain_by_a_quarter(exact, doubt, verdict):
    found = slopes(with_doubt(exact(BETAS), doubt))
    assert found.slope_se[0] == pytest.approx(0.2 * doubt / 2)
    np.testing.assert_allclose(found.bend, 0, atol=1e-12)
    # The second point sees D rise by 0.9 and the third by 0.6, with the same errors.
    assert found.verdict == [verdict, "converged", "converged"]


@pytest.mark.parametrize("doubt, verdict", [(0.149, "under-trained"), (0.151, "converged")])
def test_a_ratio_is_off_beyond_two_standard_errors(exact, doubt, verdict):
    """At a ratio of 1.2 there are 0.2 - 0.05 = 0.15 left for 2 se; there is no regret."""
    found = slopes(with_doubt(exact(1.2 * BETAS)._replace(beta=BETAS), doubt))
    assert np.all(found.regret < 0)
    assert found.verdict == [verdict, "under-trained", "under-trained"]


@pytest.mark.parametrize("sigmas, verdict", [(2.9, "converged"), (3.1, "under-trained")])
def test_a_regret_counts_from_three_standard_errors(sigmas, verdict):
    """The first point, R = 10 and D = 0, has a loss of 20 at the second's beta of 2."""
    error = np.full(2, 0.1)
    nothing = np.zeros(2)
    regret = sigmas * 0.1 * math.sqrt(2)
    points = Points(
        beta=np.array([1.0, 2.0]),
        rate=np.array([10.0, 0.0]),
        rate_se=nothing,
        distortion=np.array([0.0, 20 + regret]),
        distortion_se=error,
        covariance=nothing,
        seeds=np.ones(2, int),
    )
    found = slopes(points)
    assert found.regret[1] == pytest.approx(regret)
    assert found.regret_se[1] == pytest.approx(0.1 * math.sqrt(2))
    assert found.verdict[1] == verdict


@pytest.mark.parametrize("count, verdict", [(4, "unclear"), (5, "under-trained")])
def test_five_ratios_off_to_one_side_are_under_trained(exact, count, verdict):
    """Errors so wide that no point is off by itself."""
    betas = np.geomspace(0.1, 1, count)
    found = slopes(exact(0.9 * betas, error=0.5)._replace(beta=betas))
    np.testing.assert_allclose(found.ratio, 0.9, rtol=1e-12)
    assert found.verdict == [verdict] * count


def test_five_ratios_off_by_less_than_five_percent_are_not(exact):
    betas = np.geomspace(0.1, 1, 5)
    found = slopes(exact(0.96 * betas, error=0.5)._replace(beta=betas))
    assert found.verdict == ["unclear"] * 5


def with_speeds(speeds):
    """Points at betas 1, 2, 4, ..., between which -dR/d log beta has these means, in nats."""
    count = len(speeds) + 1
    fall = np.concatenate([[0.0], np.cumsum(speeds)]) * math.log(2)
    nothing = np.zeros(count)
    return Points(
        beta=2.0 ** np.arange(count),
        rate=fall[-1] + 1 - fall,
        rate_se=nothing,
        distortion=np.arange(count, dtype=float),
        distortion_se=nothing,
        covariance=nothing,
        seeds=np.ones(count, int),
    )


LN2 = math.log(2)


@pytest.mark.parametrize(
    "speeds, point, bend",
    [
        # One interval, of 1 to 2: all of the fall may be at one end. L = 1/ln 2, and
        # ln 2 (2 - L) over L ln 2 is 2 ln 2 - 1, whatever the speed.
        ([3], 0, 2 * LN2 - 1),
        # Two: the fall is straight but for the difference of the speeds, 3 - 1 of 3 ...
        ([3, 1], 0, (2 * LN2 - 1) * 2 / 3),
        # ... or all of it may be at one end, if the difference is more than the fall itself.
        ([1, 3], 0, 2 * LN2 - 1),
        ([2, 2], 0, 0),
        # Point 1 of three intervals: that of 1 to 2, where equal speeds leave no bend, and that of
        # 2 to 4, where m = L / 2 = 1 / ln 2. The two falls are 3 L ln 2 = 3 and 6. The speeds
        # range over 1: r beta (m ln m - m + 1) is below what a fall at one end would make.
        ([3, 3, 2], 1, 2 * (-math.log(LN2) / LN2 - 1 / LN2 + 1) / 9),
        # They range over 3.9, and a fall of 0.1 ln 2 at one end is the smaller of both: falls of
        # 0.1 and 0.2, and 0.1 ln 2 (4 - 2 / ln 2) over 0.3.
        ([0.1, 0.1, 4], 1, (4 * LN2 - 2) / 3),
    ],
)
def test_the_bend_is_the_smaller_of_what_the_neighbours_and_the_fall_allow(speeds, point, bend):
    assert slopes(with_speeds(speeds)).bend[point] == pytest.approx(bend, rel=1e-9, abs=1e-12)
