"""Points: means over seeds, errors, covariances."""

import numpy as np
import pytest

from ratedistortion.curve import analyse, collapsed, points_of


def test_points_are_means_over_the_seeds_of_a_beta(rows):
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


def test_the_seeds_of_a_target_rate_are_one_point(rows):
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


def test_runs_that_diverged_are_no_points(rows):
    frame = rows(
        beta=[1.0, 0.5], rate=[np.nan, 3.0], distortion=[np.nan, 4.0], status=["diverged", "ok"]
    )
    assert points_of(frame).beta.tolist() == [0.5]
    assert len(points_of(frame[:1]).beta) == 0
    analysis = analyse(frame)
    assert analysis.best[:3] == (0.5, 0, 7.0)
    assert analysis.slopes.verdict == ["unclear"] and analysis.regimes is None
    with pytest.raises(ValueError, match="no run is ok"):
        analyse(frame[:1])


def test_rows_without_a_beta_are_points_of_their_own(rows):
    """They come last, from the largest rate to the least; nothing is said of slope or regime."""
    frame = rows(
        beta=[np.nan, 2.0, np.nan, np.nan],
        rate=[1.0, 2.0, 3.0, 1.0],
        distortion=[9.0, 5.0, 4.0, 9.0],
        seed=None,
    )
    points = points_of(frame)
    assert points.rate.tolist() == [2.0, 3.0, 1.0, 1.0] and points.beta[0] == 2.0
    assert np.isnan(points.beta[1:]).all() and points.seeds.tolist() == [1] * 4
    analysis = analyse(frame)
    assert analysis.best.seed is None and analysis.best.negative_elbo == 7.0
    assert analysis.regimes is None and np.isnan(analysis.slopes.slope[1:]).all()
    assert analysis.slopes.verdict[1:] == ["unclear"] * 3
    collapsed_too = analyse(frame.assign(rate=[0.0, 2.0, 3.0, 0.0]))
    assert collapsed_too.slopes.verdict[1:] == ["unclear"] * 3


def test_a_missing_standard_error_counts_as_none(rows):
    assert points_of(rows(beta=[1.0], rate=[1.0], distortion=[2.0], rate_se=None)).rate_se == 0


@pytest.mark.parametrize(
    "negative_elbo_se, covariance",
    [(0.05**0.5, 0.0), (0.07**0.5, 0.01), (0.5, 0.02), (0.0, -0.02), (np.nan, -0.02)],
)
def test_errors_of_r_and_d_covary_at_most_as_much_as_they_vary(rows, negative_elbo_se, covariance):
    """Var(R + D) = 0.01 + 0.04 + 2 Cov; whatever it says, |Cov| <= 0.1 * 0.2."""
    frame = rows(beta=[1.0], rate=[1.0], distortion=[2.0], negative_elbo_se=negative_elbo_se)
    points = points_of(frame)
    assert points.covariance[0] == pytest.approx(covariance, abs=1e-12)
    assert points.variance(np.ones(1), np.ones(1))[0] == pytest.approx(0.05 + 2 * covariance)
    assert points.variance(np.full(1, 2.0), -np.ones(1))[0] >= -1e-15


@pytest.mark.parametrize(
    "rate, expected",
    [
        ([10.0, 0.011, 0.009, 0.0], [False, False, True, True]),
        ([1e-7, 2e-9, 0.9e-9], [False, False, True]),
        ([], []),
    ],
)
def test_a_point_has_collapsed_at_a_thousandth_of_the_largest_rate(exact, rate, expected):
    points = exact(np.arange(1.0, len(rate) + 1))._replace(rate=np.array(rate))
    assert collapsed(points).tolist() == expected
