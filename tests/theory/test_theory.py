import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from ratedistortion.settings import Settings
from ratedistortion.theory import (
    bernoulli_entropy,
    gaussian_entropy,
    gaussian_rate,
    known_curve,
    known_entropy,
    linear_gaussian_optimum,
    patterns,
    semantic_rate,
)

VARIANCES = np.array([4, 1, 0.25])


@pytest.mark.parametrize(
    "level, mse, rate",
    [(0.25, 0.75, math.log(8)), (0.5, 1.25, math.log(4)), (1.0, 2.25, math.log(2))]
    + [(4.0, 5.25, 0.0), (9.0, 5.25, 0.0)],
)
def test_reverse_water_filling(level, mse, rate):
    """By hand, for eigenvalues 4, 1 and 1/4; beyond the total variance the rate stays 0."""
    assert np.minimum(VARIANCES, level).sum() == mse
    assert gaussian_rate(np.array([mse]), VARIANCES)[0] == pytest.approx(rate, abs=1e-15)
    assert gaussian_rate(np.array([mse + 5]), VARIANCES)[0] == 0


def test_one_gaussian_is_the_textbook_formula():
    mse = np.array([0.01, 0.5, 2.0, 4.0])
    np.testing.assert_allclose(gaussian_rate(mse, np.array([4.0])), 0.5 * np.log(4 / mse))
    assert gaussian_rate(np.array([4.5, 100.0]), np.array([4.0])).tolist() == [0, 0]


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


def test_a_dimension_of_less_variance_than_the_water_level_has_collapsed():
    """At beta 2 the level is .4: the third dimension, of .25, adds to D and has no rate."""
    three, two = (linear_gaussian_optimum(VARIANCES[:n], 0.2**0.5, 2.0) for n in (3, 2))
    assert three.rate == pytest.approx(two.rate, rel=1e-12)
    assert three.mse == pytest.approx(two.mse + 0.25, rel=1e-12)


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


def test_the_exact_curve_of_a_learned_scale_has_its_best_point_where_the_error_is_its_square():
    """At the water level beta s^2 the squared error of a dimension is s^2."""
    settings = Settings(dataset="gaussian:4,1,0.25", likelihood="gaussian")
    distortion, rate = known_curve(settings.as_json() | {"likelihood_scale": "learned"})
    for beta, level in ((1.3, 0.8125), (1.8, 1.875)):  # min(l_i, level) adds to 3 level / beta
        variance = level / beta
        assert np.minimum(VARIANCES, level).mean() == pytest.approx(variance)
        best = 1.5 * (1 + math.log(2 * math.pi * variance))
        best += beta * 0.5 * np.log(np.maximum(VARIANCES / level, 1)).sum()
        assert np.min(distortion + beta * rate) == pytest.approx(best, rel=1e-3)


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


def test_entropy_of_a_constant_gaussian_is_refused():
    with pytest.raises(ValueError, match="minus infinity"):
        gaussian_entropy(np.array([1.0, 0.0]))


def test_gaussian_entropy_is_that_of_scipy():
    expected = scipy.stats.multivariate_normal(cov=np.diag(VARIANCES)).entropy()
    assert gaussian_entropy(VARIANCES) == pytest.approx(expected)
    assert gaussian_entropy(np.array([1e-4])) < 0


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0])
def test_entropy_minus_distortion_is_the_rate_of_a_gaussian_where_the_decoder_is_exact(beta):
    """At beta 1 the model is the source itself, and H - D = R; elsewhere H - D is below R."""
    optimum = linear_gaussian_optimum(VARIANCES, 0.2**0.5, beta)
    bound = gaussian_entropy(VARIANCES) - optimum.distortion
    assert bound == pytest.approx(optimum.rate) if beta == 1 else bound < optimum.rate


@pytest.mark.parametrize("text", ["1,6,0.2", "3,6,0.1", "8,5,0.05", "40,4,0.3"])
def test_patterns_entropy_is_that_of_all_images_one_by_one(text):
    """The sum of -p log p over all 2^DIMENSIONS images; within 4 standard errors."""
    source = patterns.parse(text)
    images = np.array(list(itertools.product([0, 1], repeat=source.dimensions)))
    flips = (images[:, None] != patterns.templates(source)).sum(-1)
    p = scipy.stats.binom.pmf(flips, source.dimensions, source.flip)
    p = (p / scipy.special.comb(source.dimensions, flips)).mean(1)
    entropy, error = patterns.entropy(source)
    assert p.sum() == pytest.approx(1)
    assert abs(entropy + (p * np.log(p)).sum()) <= 4 * error + 1e-12
    assert error < 0.01


def test_patterns_that_lie_far_apart_have_an_exact_entropy():
    settings = {"dataset": "patterns:16,64,0.05", "likelihood": "bernoulli"}
    entropy, error = known_entropy(settings)
    noise = 64 * bernoulli_entropy(0.05)
    assert entropy == pytest.approx(noise + math.log(16), abs=1e-3) and error < 1e-4
    assert semantic_rate(settings) == pytest.approx(2.772589, abs=1e-6)
    distortion, rate = known_curve(settings)
    np.testing.assert_allclose(distortion + rate, entropy)
    np.testing.assert_allclose([distortion[0], rate[0]], [noise, math.log(16)], atol=1e-3)
    assert rate[-1] == 0


def test_patterns_and_images_do_not_depend_on_how_many_are_drawn():
    few, many = patterns.parse("4,9,.1"), patterns.parse("8,9,.1")
    assert np.array_equal(patterns.templates(few), patterns.templates(many)[:4])
    assert np.array_equal(patterns.draw(few, "test", 5), patterns.draw(few, "test", 50)[:5])


def test_known_entropies():
    def entropy(dataset, likelihood="bernoulli", **others):
        return known_entropy({"dataset": dataset, "likelihood": likelihood} | others)

    assert entropy("bernoulli:0.3,10") == pytest.approx((6.10864, 0), abs=1e-5)
    assert entropy("bernoulli:0.3,10", binarize="static") == entropy("bernoulli:0.3,10")
    assert entropy("gaussian:4,1,0.25", "gaussian") == (gaussian_entropy(VARIANCES), 0)
    # A density of zeros and ones, a binarised source, a real data set, and wrong specifications.
    assert entropy("bernoulli:0.3,10", "gaussian") is None
    assert entropy("gaussian:4,1", "gaussian", binarize="threshold") is None
    assert entropy("digits") is entropy("patterns:4,8") is entropy("gaussian:1,x") is None
    assert known_entropy({}) is semantic_rate({"dataset": "bernoulli:0.3,10"}) is None


def test_importing_theory_does_not_import_jax():
    code = "import ratedistortion.theory, sys; print('jax' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


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
        {"dataset": "patterns:4,8", "likelihood": "bernoulli"},
        {"dataset": "patterns:4,8,.1", "likelihood": "gaussian", "likelihood_scale": 1.0},
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
