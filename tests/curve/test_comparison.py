"""Bjontegaard's differences of curves that differ by a known amount."""

import numpy as np
import pytest

from ratedistortion.curve import compare
from ratedistortion.errors import SettingsError

LOG9 = np.geomspace(0.1, 2, 9)


def test_a_tenth_more_rate_is_a_bd_rate_of_ten_percent(exact):
    first = exact(LOG9)
    second = first._replace(rate=1.1 * first.rate)
    assert compare(first, second).rate_percent == pytest.approx(10)
    assert compare(second, first).rate_percent == pytest.approx(100 * (1 / 1.1 - 1))
    assert compare(first, second).distortions == pytest.approx((0.492659, 2.967659), abs=1e-6)


def test_a_nat_more_distortion_is_a_bd_distortion_of_one(exact):
    first = exact(LOG9)
    found = compare(first, first._replace(distortion=first.distortion + 1))
    assert found.distortion == pytest.approx(1)
    assert found.rates == pytest.approx((1.60944, 5.86803), rel=1e-5)


def test_twice_the_rate_is_a_bd_rate_of_a_hundred_percent(exact):
    """At every D the second curve has twice the rate, on another grid: 100% more."""
    first = exact(np.geomspace(0.1, 2, 30), np.array([4.0]))
    twice = exact(np.geomspace(0.1, 2, 17), np.array([4.0]))
    found = compare(first, twice._replace(rate=2 * twice.rate))
    assert found.rate_percent == pytest.approx(100, rel=0.01)


def test_a_sweep_equals_itself_and_collapsed_points_are_left_out(exact):
    points = exact([0.1, 0.5, 1, 5, 30, 60])
    found = compare(points, points)
    assert found.rate_percent == 0 and found.distortion == 0
    assert found.rates[0] == pytest.approx(points.rate[3])


def test_sweeps_that_share_no_range_cannot_be_compared(exact):
    first = exact(LOG9)
    with pytest.raises(SettingsError, match="distortions must overlap: got 0.4927 to 2.968 and"):
        compare(first, first._replace(distortion=first.distortion + 9))
    with pytest.raises(SettingsError, match="rates must overlap"):
        compare(first, first._replace(rate=first.rate + 9))
    with pytest.raises(SettingsError, match="each needs two points .* beats: got 9 and 1"):
        compare(first, exact([1.0]))
