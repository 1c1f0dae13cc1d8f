"""The lower convex hull: corners, ends, and its definition by brute force."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ratedistortion.curve import lower_convex_hull

WHOLE = st.integers(-20, 20).map(float)


def hull(points):
    return lower_convex_hull(*np.array(points, float).reshape(-1, 2).T).tolist()


def test_corners_are_ordered_by_rate_and_points_inside_are_left_out():
    assert hull([(10, 1), (0, 10), (5, 9), (2, 4), (6, 2.5)]) == [1, 3, 0]


def test_hull_ends_at_the_lowest_distortion():
    assert hull([(0, 3), (1, 1), (2, 1), (3, 2)]) == [0, 1]


def test_few_and_equal_points():
    assert hull([]) == []
    assert hull([(1, 2)]) == [0]
    assert hull([(1, 2), (1, 2), (1, 1)]) == [2]


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(WHOLE, WHOLE), min_size=1, max_size=30), st.integers(0, 50))
def test_hull_holds_a_minimum_of_the_loss_at_every_beta(points, beta):
    """The definition, by brute force."""
    corners = hull(points)
    loss = [distortion + beta / 4 * rate for rate, distortion in points]
    assert min(loss[n] for n in corners) == min(loss)
    rate, distortion = np.array(points)[corners].T
    slopes = np.diff(distortion) / np.diff(rate)
    assert np.all(slopes < 0) and np.all(np.diff(slopes) > 0)
