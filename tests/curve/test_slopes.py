"""Slopes against -beta, and verdicts on whole curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratedistortion.curve import Points, collapsed, slopes
from ratedistortion.settings.grid import parse_grid

LOG9 = np.geomspace(0.1, 2, 9)


@pytest.mark.parametrize("grid", ["0.1:2:log9", "0.1:2:log5", "0.02:1:log30", "0.05:1.9:lin12"])
def test_the_exact_optimum_has_the_slope_minus_beta_everywhere(exact, grid):
    """|slope / -beta - 1| < 5% at every inner point."""
    points = exact(parse_grid(grid))
    found = slopes(points)
    assert np.all(np.abs(found.ratio[1:-1] - 1) < 0.05)
    np.testing.assert_allclose(found.slope, -points.beta * found.ratio)
    assert set(found.verdict) == {"converged"}
    assert np.all(found.regret < 0)


def test_between_kinks_the_slope_is_exact_however_far_apart_the_betas(exact):
    """R is linear in log beta until a dimension collapses, first at beta = 1.25."""
    found = slopes(exact([0.001, 0.003, 0.2, 1.2]))
    np.testing.assert_allclose(found.ratio, 1, rtol=1e-12)
    np.testing.assert_allclose(found.bend, 0, atol=1e-12)


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.floats(0.01, 40), min_size=2, max_size=12, unique_by=lambda x: round(x, 3)),
    st.lists(st.floats(0.05, 9), min_size=1, max_size=6),
)
def test_an_optimum_is_never_called_under_trained(exact, betas, variances):
    """On any grid, of any linear-Gaussian source, with collapsed dimensions, without noise."""
    found = slopes(exact(sorted(betas), np.array(variances)))
    assert "under-trained" not in found.verdict


def test_collapsed_points_and_beta_zero_are_judged_by_their_loss(exact):
    points = exact([0.1, 1.0, 10.0, 25.0, 50.0, 100.0])
    assert collapsed(points).tolist() == [False] * 3 + [True] * 3
    found = slopes(points)
    # Betas a factor of ten apart leave the first three unclear.
    expected = ["unclear"] * 3 + ["converged"] * 3
    assert found.verdict == expected
    assert np.isnan(found.ratio).tolist() == [False] * 3 + [True] * 3
    with_zero = Points(
        *(np.concatenate([[first], rest]) for first, rest in zip(
            (0.0, 20.0, 0.0, points.distortion[0] - 0.1, 0.0, 0.0, 1), points, strict=True
        ))
    )  # fmt: skip
    found = slopes(with_zero._replace(seeds=np.ones(7, int)))
    assert found.verdict == ["converged", *expected] and np.isnan(found.slope[0])
    # Beta 0 has no logarithm: the slope at the next beta is that of its other side.
    assert found.ratio[1] == slopes(points).ratio[0]
    worse = with_zero.distortion.copy()
    worse[0] += 1
    assert slopes(with_zero._replace(distortion=worse)).verdict[0] == "under-trained"


def test_a_collapse_at_too_small_a_beta_is_under_trained(exact):
    points = exact([0.1, 0.5, 1.0, 2.0])
    rate, distortion = points.rate.copy(), points.distortion.copy()
    rate[1], distortion[1] = 0.0, exact([100.0]).distortion[0]
    found = slopes(points._replace(rate=rate, distortion=distortion))
    assert found.verdict[1] == "under-trained" and found.regret[1] > 1


def test_if_all_points_have_collapsed_all_are_unclear(exact):
    nothing = exact([20.0, 30.0, 40.0])
    assert np.all(nothing.rate < 1e-15)
    assert slopes(nothing).verdict == ["unclear"] * 3
    assert slopes(exact([1.0])).verdict == ["unclear"]


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_curve_of_other_slopes_is_under_trained(exact, factor):
    """Models trained with another beta than the table says: each slope is off by the factor."""
    points = exact(factor * LOG9[:6])._replace(beta=LOG9[:6])
    found = slopes(points)
    np.testing.assert_allclose(found.ratio, factor, rtol=1e-3)
    assert set(found.verdict) == {"under-trained"}


@pytest.mark.parametrize("factor", [1.0, 1.3, 1.5])
def test_betas_a_factor_of_ten_apart_say_nothing_of_convergence(exact, factor):
    """R bends so much in between that an optimum could have a slope that is off by half."""
    betas = np.array([0.1, 1.0, 10.0])
    found = slopes(exact(factor * betas)._replace(beta=betas))
    assert np.all(np.abs(found.ratio - 1) < found.bend) and np.all(found.bend > 0.25)
    assert found.verdict == ["unclear"] * 3


def test_bend_and_error_together_decide_what_is_unclear(exact):
    """At the last of five betas each is below a quarter, and their sum is above it."""
    points = exact(np.geomspace(0.1, 2, 5), error=0.05)
    found = slopes(points)
    doubt = 2 * found.slope_se / points.beta
    assert found.bend[4] < 0.15 and doubt[4] < 0.2 and found.bend[4] + doubt[4] > 0.25
    assert found.bend[3] + doubt[3] < 0.25
    assert found.verdict[3:] == ["converged", "unclear"]


def test_one_bad_point_is_found_by_its_regret(exact):
    points = exact(LOG9, error=1e-3)
    for n in range(9):
        distortion = points.distortion.copy()
        distortion[n] += 0.3
        found = slopes(points._replace(distortion=distortion))
        assert found.verdict[n] == "under-trained" and found.regret[n] > 0.02


def test_noise_as_wide_as_the_error_bars_is_seldom_called_under_trained(exact):
    """About 5% of points are, as two sigmas say; 100 noisy copies of the exact curve."""
    random = np.random.default_rng(0)
    for error in (0.003, 0.03, 0.3):
        points = exact(LOG9, error=error)
        flagged = [
            slopes(points._replace(rate=points.rate + r, distortion=points.distortion + d)).verdict
            for r, d in error * random.standard_normal((100, 2, 9))
        ]
        assert np.mean(np.array(flagged) == "under-trained") < 0.07
    assert "unclear" in np.array(flagged)


def test_the_standard_error_of_a_slope_is_that_of_its_derivatives(exact):
    """sqrt(J C J'), with J by central differences in every R and D, and C their covariance."""
    points = exact(LOG9)
    # Errors that differ from point to point, and correlations from -0.8 to 0.8.
    rate_se, distortion_se = np.linspace(2e-3, 9e-3, 9), np.linspace(7e-3, 1e-3, 9)
    covariance = np.linspace(-0.8, 0.8, 9) * rate_se * distortion_se
    points = points._replace(rate_se=rate_se, distortion_se=distortion_se, covariance=covariance)
    by_rate, by_distortion = (
        np.array([
            slopes(points._replace(**{name: getattr(points, name) + step})).slope
            - slopes(points._replace(**{name: getattr(points, name) - step})).slope
            for step in 1e-5 * np.eye(9)
        ]) / 2e-5
        for name in ("rate", "distortion")
    )  # fmt: skip
    variance = (
        rate_se**2 @ by_rate**2
        + distortion_se**2 @ by_distortion**2
        + 2 * covariance @ (by_rate * by_distortion)
    )
    np.testing.assert_allclose(slopes(points).slope_se, np.sqrt(variance), rtol=1e-6)


def test_points_of_one_beta_are_judged_by_their_other_neighbours(exact):
    """Runs whose target rates are out of reach end at one beta: no slope lies between them."""
    betas = [0.1, 0.15, 0.2, 0.2, 0.3, 0.45]
    alone = [0, 1, 2, 4, 5]
    found, single = slopes(exact(betas)), slopes(exact(np.array(betas)[alone]))
    ends = [0, 1, 4, 5]
    assert found.ratio[ends].tolist() == single.ratio[[0, 1, 3, 4]].tolist()
    np.testing.assert_allclose(found.ratio[2:4], 1, atol=0.01)
    assert set(found.verdict) == {"converged"}
    assert np.isnan(slopes(exact([0.2, 0.2, 0.2])).ratio).all()
