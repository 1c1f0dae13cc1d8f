import math
import re

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratedistortion.curve import (
    REGIMES,
    Points,
    analyse,
    at_distortion,
    at_rate,
    collapsed,
    compare,
    lower_convex_hull,
    objection,
    points_of,
    regimes,
    slopes,
)
from ratedistortion.errors import SettingsError
from ratedistortion.grid import parse_grid
from ratedistortion.theory import linear_gaussian_optimum

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


VARIANCES = np.array([4, 1, 0.25])
LOG9 = np.geomspace(0.1, 2, 9)


def exact(betas, variances=VARIANCES, error=0.0, **changed):
    """The optima of linear-Gaussian models at each beta, which are known in closed form."""
    betas = np.asarray(betas, float)
    optima = [linear_gaussian_optimum(variances, 0.2**0.5, float(beta)) for beta in betas]
    errors = np.full(len(betas), error)
    points = Points(
        betas,
        rate=np.array([optimum.rate for optimum in optima]),
        rate_se=errors,
        distortion=np.array([optimum.distortion for optimum in optima]),
        distortion_se=errors,
        covariance=0 * errors,
        seeds=np.ones(len(betas), int),
    )
    return points._replace(**changed)


def rows(**columns):
    table = {"status": "ok", "seed": 0, "rate_se": 0.1, "distortion_se": 0.2} | columns
    table.setdefault("negative_elbo_se", 0.05**0.5)
    frame = pandas.DataFrame(table)
    return frame.assign(negative_elbo=frame["rate"] + frame["distortion"])


# Points


def test_points_are_means_over_the_seeds_of_a_beta():
    frame = rows(
        beta=[1.0, 0.5, 1.0, 0.5],
        seed=[0, 0, 1, 1],
        rate=[1.0, 3.0, 2.0, 3.0],
        distortion=[6.0, 4.0, 4.0, 4.0],
    )
    points = points_of(frame)
    assert points.beta.tolist() == [0.5, 1.0] and points.seeds.tolist() == [2, 2]
    assert points.rate.tolist() == [3.0, 1.5] and points.distortion.tolist() == [4.0, 5.0]
    # Equal seeds leave the error of measuring; the others add s^2 / 2 = .25, 1 and cov / 2 = -.5.
    np.testing.assert_allclose(points.rate_se**2, [0.01, 0.26])
    np.testing.assert_allclose(points.distortion_se**2, [0.04, 1.04])
    np.testing.assert_allclose(points.covariance, [0, -0.5], atol=1e-12)
    assert points.variance(np.ones(2), np.ones(2))[0] == pytest.approx(0.05)


def test_the_seeds_of_a_target_rate_are_one_point():
    frame = rows(
        beta=[4.0, 1.0, 0.5, 0.5],
        seed=[0, 1, 0, 1],
        target_rate=[1.0, 1.0, 3.0, 4.0],
        rate=[1.0, 2.0, 3.0, 4.0],
        distortion=[6.0, 4.0, 4.0, 3.0],
    )
    points = points_of(frame)
    assert points.beta.tolist() == [0.5, 0.5, 2.0] and points.seeds.tolist() == [1, 1, 2]
    assert points.rate.tolist() == [3.0, 4.0, 1.5]


def test_runs_that_diverged_are_no_points():
    frame = rows(
        beta=[1.0, 0.5], rate=[np.nan, 3.0], distortion=[np.nan, 4.0], status=["diverged", "ok"]
    )
    assert points_of(frame).beta.tolist() == [0.5]
    assert len(points_of(frame[:1]).beta) == 0
    analysis = analyse(frame)
    assert analysis.left_out == 1 and analysis.best[:3] == (0.5, 0, 7.0)
    assert analysis.slopes.verdict == ["unclear"] and analysis.regimes is None
    with pytest.raises(ValueError, match="no run is ok"):
        analyse(frame[:1])


def test_a_missing_standard_error_counts_as_none():
    assert points_of(rows(beta=[1.0], rate=[1.0], distortion=[2.0], rate_se=None)).rate_se == 0


# Slopes


@pytest.mark.parametrize("grid", ["0.1:2:log9", "0.1:2:log5", "0.02:1:log30", "0.05:1.9:lin12"])
def test_the_exact_optimum_has_the_slope_minus_beta_everywhere(grid):
    """|slope / -beta - 1| < 5% at every inner point."""
    points = exact(parse_grid(grid))
    found = slopes(points)
    assert np.all(np.abs(found.ratio[1:-1] - 1) < 0.05)
    np.testing.assert_allclose(found.slope, -points.beta * found.ratio)
    assert set(found.verdict) == {"converged"}
    assert np.all(found.regret < 0)


def test_between_kinks_the_slope_is_exact_however_far_apart_the_betas():
    """R is linear in log beta until a dimension collapses, first at beta = 1.25."""
    found = slopes(exact([0.001, 0.003, 0.2, 1.2]))
    np.testing.assert_allclose(found.ratio, 1, rtol=1e-12)
    np.testing.assert_allclose(found.bend, 0, atol=1e-12)


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.floats(0.01, 40), min_size=2, max_size=12, unique_by=lambda x: round(x, 3)),
    st.lists(st.floats(0.05, 9), min_size=1, max_size=6),
)
def test_an_optimum_is_never_called_under_trained(betas, variances):
    """Any grid, any linear-Gaussian source, collapsed dimensions and all, without noise."""
    found = slopes(exact(sorted(betas), np.array(variances)))
    assert "under-trained" not in found.verdict


def test_collapsed_points_and_beta_zero_are_judged_by_their_loss():
    points = exact([0.1, 1.0, 10.0, 25.0, 50.0, 100.0])
    assert collapsed(points).tolist() == [False] * 3 + [True] * 3
    found = slopes(points)
    # Betas a decade apart leave the first three unclear.
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
    # It has no logarithm: beside it the slope is that of the other side.
    assert found.ratio[1] == slopes(points).ratio[0]
    worse = with_zero.distortion.copy()
    worse[0] += 1
    assert slopes(with_zero._replace(distortion=worse)).verdict[0] == "under-trained"


def test_a_collapse_before_its_time_is_under_trained():
    points = exact([0.1, 0.5, 1.0, 2.0])
    rate, distortion = points.rate.copy(), points.distortion.copy()
    rate[1], distortion[1] = 0.0, exact([100.0]).distortion[0]
    found = slopes(points._replace(rate=rate, distortion=distortion))
    assert found.verdict[1] == "under-trained" and found.regret[1] > 1


def test_where_everything_has_collapsed_nothing_is_clear():
    nothing = exact([20.0, 30.0, 40.0])
    assert np.all(nothing.rate < 1e-15)
    assert slopes(nothing).verdict == ["unclear"] * 3
    assert slopes(exact([1.0])).verdict == ["unclear"]


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_curve_of_other_slopes_is_under_trained(factor):
    """Models trained with another beta than the table says: each slope is off by the factor."""
    points = exact(factor * LOG9[:6])._replace(beta=LOG9[:6])
    found = slopes(points)
    np.testing.assert_allclose(found.ratio, factor, rtol=1e-3)
    assert set(found.verdict) == {"under-trained"}


@pytest.mark.parametrize("factor", [1.0, 1.3, 1.5])
def test_betas_a_decade_apart_say_nothing_of_convergence(factor):
    """R bends so much in between that a slope off by half would pass for an optimum."""
    betas = np.array([0.1, 1.0, 10.0])
    found = slopes(exact(factor * betas)._replace(beta=betas))
    assert np.all(np.abs(found.ratio - 1) < found.bend) and np.all(found.bend > 0.25)
    assert found.verdict == ["unclear"] * 3


def test_bend_and_error_together_decide_what_is_unclear():
    """At the last of five betas neither is beyond a quarter by itself, and both are."""
    points = exact(np.geomspace(0.1, 2, 5), error=0.05)
    found = slopes(points)
    doubt = 2 * found.slope_se / points.beta
    assert found.bend[4] < 0.15 and doubt[4] < 0.2 and found.bend[4] + doubt[4] > 0.25
    assert found.bend[3] + doubt[3] < 0.25
    assert found.verdict[3:] == ["converged", "unclear"]


@pytest.mark.parametrize(
    "settings_, columns, reason",
    [
        ({}, {}, None),
        ({"free_bits": 0.0, "warmup": 800}, {"free_bits": 0.0}, None),
        ({}, {"free_bits": [0.1, np.nan]}, "with free bits the loss is not D [+] beta R"),
        ({"free_bits": 0.1}, {}, "with free bits"),
        ({"warmup": 801}, {}, "beta was still rising for 801 of 1,000 steps"),
    ],
)
def test_what_forbids_a_verdict(settings_, columns, reason):
    frame = rows(beta=[1.0, 2.0], rate=[3.0, 1.0], distortion=[4.0, 6.0], steps=1000, **columns)
    if not columns:
        assert objection(frame) is None  # a table without metadata
    frame.attrs["ratedistortion"] = {"settings": settings_}
    assert re.search(reason or "^None$", str(objection(frame)))


def test_one_bad_point_is_found_by_its_regret():
    points = exact(LOG9, error=1e-3)
    for n in range(9):
        distortion = points.distortion.copy()
        distortion[n] += 0.3
        found = slopes(points._replace(distortion=distortion))
        assert found.verdict[n] == "under-trained" and found.regret[n] > 0.02


def test_noise_as_wide_as_the_error_bars_is_seldom_called_under_trained():
    """By about 5% of points, as two sigmas say; 400 noisy copies of the exact curve."""
    random = np.random.default_rng(0)
    for error in (0.003, 0.03, 0.3):
        points = exact(LOG9, error=error)
        flagged = [
            slopes(points._replace(rate=points.rate + r, distortion=points.distortion + d)).verdict
            for r, d in error * random.standard_normal((400, 2, 9))
        ]
        assert np.mean(np.array(flagged) == "under-trained") < 0.07
    assert "unclear" in np.array(flagged)


def test_ratios_off_to_one_side_are_under_trained_however_wide_the_error_bars():
    """All points share their images, so the bars may be far wider than the points scatter."""
    points = exact(0.7 * LOG9[:6])._replace(beta=LOG9[:6])
    wide = np.full(6, 0.5)
    found = slopes(points._replace(rate_se=wide, distortion_se=wide))
    assert set(found.verdict) == {"under-trained"}
    four = Points(*(values[:4] for values in points._replace(rate_se=wide, distortion_se=wide)))
    assert "under-trained" not in slopes(four).verdict


def test_the_standard_error_of_a_slope_is_that_of_simulations():
    """2,000 noisy copies of the exact curve; 5% is three times the error of their spread."""
    points = exact(LOG9, error=5e-3)
    random = np.random.default_rng(0)
    noise = 5e-3 * random.standard_normal((2000, 2, 9))
    found = [
        slopes(points._replace(rate=points.rate + r, distortion=points.distortion + d)).slope
        for r, d in noise
    ]
    np.testing.assert_allclose(np.std(found, 0), slopes(points).slope_se, rtol=0.06)


# Regimes


def test_regimes_are_quarters_of_the_turn():
    """A quarter circle in normalised coordinates, where the angle at beta is arctan beta."""
    angles = np.radians([2, 11, 22, 23, 44, 46, 67, 68, 88])
    points = exact(np.tan(angles))._replace(
        rate=7 * (1 - np.sin(angles)), distortion=7 * (1 - np.cos(angles))
    )
    found = regimes(points)
    assert found.knee == pytest.approx(1, rel=0.01)
    np.testing.assert_allclose(found.semantic, np.tan(np.pi / 8 * np.array([1, 3])), rtol=0.01)
    assert found.regime == [REGIMES[n] for n in (0, 0, 0, 1, 1, 2, 2, 3, 3)]


def test_units_do_not_move_the_regimes():
    points = exact(LOG9)
    bits = points._replace(rate=points.rate / np.log(2), distortion=points.distortion / np.log(2))
    nats, bits = regimes(points), regimes(bits)
    assert nats.regime == bits.regime and nats.knee == pytest.approx(bits.knee)


def test_both_change_fast_in_the_middle():
    """R falls from 0.03 to 0.3, D rises from 0.1 to 1: only in between do both move."""
    points = exact([0.01, 0.03, 0.1, 0.3, 1.0, 3.0])._replace(
        rate=np.array([9.0, 9.0, 6.0, 3.0, 3.0, 3.0]),
        distortion=np.array([1.0, 1.0, 1.0, 4.0, 7.0, 7.0]),
    )
    assert regimes(points).both_fast == (0.1, 0.3)
    rate = np.array([9.0, 9.0, 6.0, 6.0, 6.0, 6.0])
    assert regimes(points._replace(rate=rate)).both_fast is None


def test_without_a_curve_there_are_no_regimes():
    assert regimes(exact([0.1, 1.0])) is None
    assert regimes(exact([20.0, 30.0, 40.0])) is None


# Interpolation


@settings(derandomize=True, deadline=None)
@given(st.floats(0.12, 1.9))
def test_interpolation_comes_close_to_the_exact_curve(beta):
    points, truth = exact(np.geomspace(0.1, 2, 17)), exact([beta])
    for place in (at_rate(points, truth.rate[0]), at_distortion(points, truth.distortion[0])):
        assert place.beta == pytest.approx(beta, rel=0.03)
        assert place.rate == pytest.approx(truth.rate[0], abs=0.03)
        assert place.distortion == pytest.approx(truth.distortion[0], abs=0.01)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(WHOLE, WHOLE), min_size=2, max_size=20), st.floats(0, 1))
def test_interpolation_is_monotone_and_meets_the_points(pairs, share):
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


def test_nothing_is_extrapolated():
    points = exact(LOG9)
    with pytest.raises(SettingsError, match=r"rate must lie within the sweep, 1.609 to 5.868: got"):
        at_rate(points, 6.0)
    with pytest.raises(SettingsError, match="distortion must lie within .*0.4927 to 2.968: got 3;"):
        at_distortion(points, 3.0)


def test_next_to_beta_zero_there_is_no_beta_but_a_distortion():
    points = exact(LOG9)._replace(beta=np.array([0.0, *LOG9[1:]]))
    place = at_rate(points, 5.5)
    assert math.isnan(place.beta) and place.distortion == at_rate(exact(LOG9), 5.5).distortion
    assert at_rate(points, 3.0).beta == pytest.approx(at_rate(exact(LOG9), 3.0).beta, rel=1e-3)


# Two sweeps


def test_a_tenth_more_rate_is_a_bd_rate_of_ten_percent():
    first = exact(LOG9)
    second = first._replace(rate=1.1 * first.rate)
    assert compare(first, second).rate_percent == pytest.approx(10)
    assert compare(second, first).rate_percent == pytest.approx(100 * (1 / 1.1 - 1))
    assert compare(first, second).distortions == pytest.approx((0.492659, 2.967659), abs=1e-6)


def test_a_nat_more_distortion_is_a_bd_distortion_of_one():
    first = exact(LOG9)
    found = compare(first, first._replace(distortion=first.distortion + 1))
    assert found.distortion == pytest.approx(1)
    assert found.rates == pytest.approx((1.60944, 5.86803), rel=1e-5)


def test_bd_rate_of_two_gaussians_by_hand():
    """One dimension: ln R2 - ln R1 where D2 = D1 takes twice the rate: 100%, whatever the grid."""
    first = exact(np.geomspace(0.1, 2, 30), np.array([4.0]))
    twice = exact(np.geomspace(0.1, 2, 17), np.array([4.0]))
    found = compare(first, twice._replace(rate=2 * twice.rate))
    assert found.rate_percent == pytest.approx(100, rel=0.01)


def test_a_sweep_equals_itself_and_collapsed_points_are_left_out():
    points = exact([0.1, 0.5, 1, 5, 30, 60])
    found = compare(points, points)
    assert found.rate_percent == 0 and found.distortion == 0
    assert found.rates[0] == pytest.approx(points.rate[3])


def test_sweeps_that_share_nothing_cannot_be_compared():
    first = exact(LOG9)
    with pytest.raises(SettingsError, match="distortions must overlap: got 0.4927 to 2.968 and"):
        compare(first, first._replace(distortion=first.distortion + 9))
    with pytest.raises(SettingsError, match="rates must overlap"):
        compare(first, first._replace(rate=first.rate + 9))
    with pytest.raises(SettingsError, match="needs two points"):
        compare(first, exact([1.0]))
