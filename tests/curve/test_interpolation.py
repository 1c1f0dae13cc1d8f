"""Interpolation between points, against the closed form of the linear-Gaussian model."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratedistortion.curve import at_distortion, at_rate
from ratedistortion.errors import SettingsError

LOG9 = np.geomspace(0.1, 2, 9)
WHOLE = st.integers(-20, 20).map(float)


@settings(derandomize=True, deadline=None)
@given(st.floats(0.12, 1.9))
def test_interpolation_comes_close_to_the_exact_curve(exact, beta):
    points, truth = exact(np.geomspace(0.1, 2, 17)), exact([beta])
    for place in (at_rate(points, truth.rate[0]), at_distortion(points, truth.distortion[0])):
        assert place.beta == pytest.approx(beta, rel=0.03)
        assert place.rate == pytest.approx(truth.rate[0], abs=0.03)
        assert place.distortion == pytest.approx(truth.distortion[0], abs=0.01)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(WHOLE, WHOLE), min_size=2, max_size=20), st.floats(0, 1))
def test_interpolation_is_monotone_and_meets_the_points(exact, pairs, share):
    rate, distortion = np.array(pairs).T
    points = exact(np.arange(1.0, len(pairs) + 1))._replace(rate=rate, distortion=distortion)
    best = [
        n
        for n, (r, d) in enumerate(pairs)
        if not any(a <= r and b <= d and (a, b) != (r, d) for a, b in pairs)
    ]
    low, high = rate[best].min(), rate[best].max()
    if low == high:
        with pytest.raises(SettingsError, match="two points"):
            at_rate(points, low)
        return
    for n in best:
        assert at_rate(points, rate[n]).distortion == pytest.approx(distortion[n])
        assert at_distortion(points, distortion[n]).rate == pytest.approx(rate[n])
    middle = low + share * (high - low)
    at = [at_rate(points, r).distortion for r in (low, min(max(middle, low), high), high)]
    assert at[0] + 1e-9 >= at[1] >= at[2] - 1e-9


def test_nothing_is_extrapolated(exact):
    points = exact(LOG9)
    with pytest.raises(SettingsError, match=r"rate must lie within the sweep, 1.609 to 5.868: got"):
        at_rate(points, 6.0)
    with pytest.raises(SettingsError, match="distortion must lie within .*0.4927 to 2.968: got 3;"):
        at_distortion(points, 3.0)


def test_between_beta_zero_and_the_next_there_is_a_distortion_and_no_beta(exact):
    points = exact(LOG9)._replace(beta=np.array([0.0, *LOG9[1:]]))
    place = at_rate(points, 5.5)
    assert math.isnan(place.beta) and place.distortion == at_rate(exact(LOG9), 5.5).distortion
    assert at_rate(points, 3.0).beta == pytest.approx(at_rate(exact(LOG9), 3.0).beta, rel=1e-3)
