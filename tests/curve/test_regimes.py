"""Regimes and the knee, in curves whose turn is known."""

import numpy as np
import pytest

from ratedistortion.curve import REGIMES, regimes

LOG9 = np.geomspace(0.1, 2, 9)


def test_regimes_are_quarters_of_the_turn(exact):
    """A quarter circle in normalised coordinates, where the angle at beta is arctan beta."""
    angles = np.radians([2, 11, 22, 23, 44, 46, 67, 68, 88])
    points = exact(np.tan(angles))._replace(
        rate=7 * (1 - np.sin(angles)), distortion=7 * (1 - np.cos(angles))
    )
    found = regimes(points)
    assert found.knee == pytest.approx(1, rel=0.01)
    np.testing.assert_allclose(found.semantic, np.tan(np.pi / 8 * np.array([1, 3])), rtol=0.01)
    assert found.regime == [REGIMES[n] for n in (0, 0, 0, 1, 1, 2, 2, 3, 3)]


def test_units_do_not_move_the_regimes(exact):
    points = exact(LOG9)
    bits = points._replace(rate=points.rate / np.log(2), distortion=points.distortion / np.log(2))
    nats, bits = regimes(points), regimes(bits)
    assert nats.regime == bits.regime and nats.knee == pytest.approx(bits.knee)


def test_both_change_fast_in_the_middle(exact):
    """R falls from beta 0.03 to 0.3, D rises from 0.1 to 1: both move from 0.1 to 0.3."""
    points = exact([0.01, 0.03, 0.1, 0.3, 1.0, 3.0])._replace(
        rate=np.array([9.0, 9.0, 6.0, 3.0, 3.0, 3.0]),
        distortion=np.array([1.0, 1.0, 1.0, 4.0, 7.0, 7.0]),
    )
    assert regimes(points).both_fast == (0.1, 0.3)
    rate = np.array([9.0, 9.0, 6.0, 6.0, 6.0, 6.0])
    assert regimes(points._replace(rate=rate)).both_fast is None


@pytest.mark.parametrize("slow, both_fast", [(0.45, (1.0, 4.0)), (0.55, (1.0, 8.0))])
def test_fast_is_half_as_fast_as_on_average(exact, slow, both_fast):
    """Three steps of log 2 each; on average R or D moves by 1 a step, in the last one by less."""
    steps = np.array([0.0, 2 - slow, 3 - slow, 3.0])
    evenly = np.arange(4.0)
    for fall, rise in ((steps, evenly), (evenly, steps)):
        points = exact([1.0, 2.0, 4.0, 8.0])._replace(rate=5 - fall, distortion=rise)
        assert regimes(points).both_fast == both_fast


def test_nothing_is_fast_where_d_is_lower_at_the_largest_beta(exact):
    points = exact([1.0, 2.0, 4.0, 8.0])._replace(
        rate=np.array([3.0, 2.0, 1.0, 0.0]), distortion=np.array([3.0, 3.1, 2.0, 2.0])
    )
    assert regimes(points).both_fast is None


def test_without_a_curve_there_are_no_regimes(exact):
    assert regimes(exact([0.1, 1.0])) is None
    assert regimes(exact([20.0, 30.0, 40.0])) is None


def test_points_of_one_beta_do_not_move_the_knee(exact):
    """Runs whose target rates are out of reach end at one beta."""
    betas = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    twice = [0, 1, 2, 2, 3, 4, 5, 5]
    single = exact(betas)
    double = single._replace(**{name: value[twice] for name, value in single._asdict().items()})
    assert regimes(double).both_fast == regimes(single).both_fast is not None
    same = exact([1.0, 1.0, 1.0])._replace(
        rate=np.array([1.0, 2.0, 3.0]), distortion=np.array([3.0, 2.0, 1.0])
    )
    assert regimes(same).both_fast is None
