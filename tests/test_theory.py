import math

import numpy as np
import pytest

from ratedistortion.settings import Settings
from ratedistortion.theory import (
    bernoulli_entropy,
    gaussian_rate,
    known_curve,
    linear_gaussian_optimum,
)

VARIANCES = np.array([4, 1, 0.25])


def test_reverse_water_filling():
    """Water levels .25, .5 and 1 by hand: ln 8, ln 4 and ln 2; no rate from the variance on."""
    rate = gaussian_rate(np.array([0.75, 1.25, 2.25, 5.25, 9.0]), VARIANCES)
    np.testing.assert_allclose(rate, [math.log(8), math.log(4), math.log(2), 0, 0], atol=1e-15)


def test_one_gaussian_is_the_textbook_formula():
    mse = np.array([0.01, 0.5, 2.0, 4.0])
    np.testing.assert_allclose(gaussian_rate(mse, np.array([4.0])), 0.5 * np.log(4 / mse))


def test_a_lossless_gaussian_code_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        gaussian_rate(np.array([0.0]), VARIANCES)


@pytest.mark.parametrize(
    "beta, rate, mse, distortion",
    [
        (0.1, 5.86803, 0.06, 0.492659),
        (0.5, 3.45388, 0.30, 1.092659),
        (1.0, 2.41416, 0.60, 1.842659),
        (2.0, 1.60944, 1.05, 2.967659),
    ],
)
def test_linear_gaussian_optimum(beta, rate, mse, distortion):
    """Worked by hand from the eigenvalues 4, 1, 1/4 and s^2 = 1/5, to six figures."""
    optimum = linear_gaussian_optimum(VARIANCES, 0.2**0.5, beta)
    np.testing.assert_allclose(optimum, (rate, mse, distortion), rtol=3e-6)


def test_linear_gaussian_optimum_minimises_the_loss_along_the_exact_curve():
    settings = Settings(
        dataset="gaussian:4,1,0.25", likelihood="gaussian", likelihood_scale=0.3
    ).as_json()
    distortion, rate = known_curve(settings)
    for beta in (0.2, 1.0, 5.0):
        optimum = linear_gaussian_optimum(VARIANCES, 0.3, beta)
        best = optimum.distortion + beta * optimum.rate
        assert best == pytest.approx(np.min(distortion + beta * rate), rel=1e-3)
        assert best <= np.min(distortion + beta * rate)


@pytest.mark.parametrize("scale, beta", [(0.0, 1.0), (1.0, 0.0), (1.0, float("nan"))])
def test_linear_gaussian_optimum_needs_positive_numbers(scale, beta):
    with pytest.raises(ValueError, match="above 0"):
        linear_gaussian_optimum(VARIANCES, scale, beta)


def test_bernoulli_entropy():
    assert bernoulli_entropy(0.5) == pytest.approx(math.log(2))
    assert bernoulli_entropy(0.3) == pytest.approx(0.610864, abs=1e-6)
    assert bernoulli_entropy(0.0) == bernoulli_entropy(1.0) == 0
    with pytest.raises(ValueError, match="probability"):
        bernoulli_entropy(1.1)


def test_bernoulli_frontier_is_the_line_of_the_entropy():
    distortion, rate = known_curve({"dataset": "bernoulli:0.5,4", "likelihood": "bernoulli"})
    np.testing.assert_allclose(distortion + rate, 4 * math.log(2))
    assert distortion[0] == rate[-1] == 0


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dataset": "digits", "likelihood": "bernoulli"},
        {"dataset": "bernoulli:0.5,4", "likelihood": "gaussian", "likelihood_scale": 1.0},
        {"dataset": "gaussian:4,1", "likelihood": "bernoulli"},
        {"dataset": "gaussian:4,1", "likelihood": "gaussian"},
        {"dataset": "gaussian:four", "likelihood": "gaussian", "likelihood_scale": 1.0},
        {"dataset": "bernoulli:0.5", "likelihood": "bernoulli"},
        {
            "dataset": "gaussian:4,1",
            "likelihood": "gaussian",
            "likelihood_scale": 1.0,
            "binarize": "static",
        },
    ],
)
def test_other_sources_have_no_known_curve(settings):
    assert known_curve(settings) is None
