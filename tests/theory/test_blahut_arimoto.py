import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratedistortion.theory import bernoulli_rate, symbol_rate
from ratedistortion.theory.blahut_arimoto import blahut_arimoto


def assert_within_its_gap(found, rate, tolerance=1e-6):
    """R(D) lies in [rate - gap, rate]; 1e-12 for rounding."""
    assert found.gap <= tolerance
    assert found.rate - found.gap - 1e-12 <= rate <= found.rate + 1e-12


@pytest.mark.parametrize("probability", [0.5, 0.3, 0.01])
@pytest.mark.parametrize("beta", [0.05, 0.3, 1.0, 1.1, 3.0])
def test_bernoulli_under_hamming_distortion(probability, beta):
    """h(p) - h(D), theorem 10.3.1 of Cover and Thomas."""
    found = blahut_arimoto(np.array([1 - probability, probability]), 1 - np.eye(2), beta)
    assert_within_its_gap(found, bernoulli_rate(np.array([found.distortion]), probability)[0])


@pytest.mark.parametrize(
    "source, rate", [([0.5, 0.5], 0.368064), ([0.7, 0.3], 0.285781), ([0.25] * 4, 0.951350)]
)
def test_the_point_of_one_wrong_symbol_in_ten(source, rate):
    """Rates by hand, to six figures: 5e-7 of rounding beside the gap.

    The slope of ln m - h(D) - D ln(m - 1) at D is -ln((m - 1) (1 - D) / D), and that of
    h(p) - h(D) is the same with m = 2; its inverse is the beta that ends there.
    """
    beta = 1 / np.log((len(source) - 1) * 0.9 / 0.1)
    found = blahut_arimoto(np.array(source), 1 - np.eye(len(source)), float(beta))
    assert found.distortion == pytest.approx(0.1, rel=1e-4)
    assert found.gap <= 1e-6
    # The channel's own distortion moves the rate along the slope.
    at_a_tenth = found.rate + (found.distortion - 0.1) / beta
    assert -5e-7 <= at_a_tenth - rate <= found.gap + 5e-7


@pytest.mark.parametrize("symbols", [3, 4])
@pytest.mark.parametrize("beta", [0.1, 0.4, 2.0])
def test_equal_symbols_under_hamming_distortion(symbols, beta):
    """ln m - h(D) - D ln(m - 1)."""
    found = blahut_arimoto(np.full(symbols, 1 / symbols), 1 - np.eye(symbols), beta)
    assert_within_its_gap(found, symbol_rate(np.array([found.distortion]), symbols)[0])


def test_a_gaussian_on_a_grid_is_close_to_the_closed_form():
    """R = ln(1 / 0.3) / 2 at D = 0.3, where dD/dR = -2 D; the grid moves both by less than 1e-4."""
    x = np.linspace(-4.5, 4.5, 41)
    source = np.exp(-(x**2) / 2)
    found = blahut_arimoto(source / source.sum(), (x[:, None] - x) ** 2, 0.6, 1e-5)
    assert found.gap <= 1e-5
    assert found.distortion == pytest.approx(0.3, rel=1e-4)
    assert found.rate == pytest.approx(0.5 * np.log(1 / 0.3), abs=1e-4)


def random_problem(seed, symbols, reproductions):
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(symbols)), random.random((symbols, reproductions))


@given(st.integers(0, 10**6), st.floats(0.03, 2))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_any_problem_ends_within_its_gap_of_plain_iterations(seed, beta):
    """Oracle: 3,000 plain steps in NumPy, and Blahut's lower bound from their last one."""
    source, distortion = random_problem(seed, 4, 5)
    found = blahut_arimoto(source, distortion, beta)
    assert found.gap <= 1e-7 and found.reproduction.sum() == pytest.approx(1)
    kernel, q = np.exp(-distortion / beta), np.full(5, 0.2)
    for _ in range(3000):
        c = source @ (kernel / (kernel @ q)[:, None])
        q = q * c
    # min D + beta R, from above and from below.
    plain = -beta * source @ np.log(kernel @ q)
    c = source @ (kernel / (kernel @ q)[:, None])
    loss = found.distortion + beta * found.rate
    assert plain - beta * np.log(c.max()) - 1e-12 <= loss <= plain + beta * found.gap + 1e-12


def test_symbols_that_never_occur_change_nothing():
    source, distortion = random_problem(0, 4, 5)
    found = blahut_arimoto(source, distortion, 0.2)
    more = blahut_arimoto(np.append(source, 0.0), np.vstack([distortion, np.ones(5)]), 0.2)
    assert more.rate == found.rate and more.distortion == found.distortion


def test_large_distortions_neither_overflow_nor_vanish():
    """exp(-1e6) is 0 in float64; the logarithms are not."""
    found = blahut_arimoto(np.full(3, 1 / 3), 1e6 * (1 - np.eye(3)), 1.0)
    assert found.rate == pytest.approx(np.log(3)) and found.distortion == 0


def test_the_gap_is_large_after_too_few_steps():
    source, distortion = random_problem(5, 4, 5)
    few = blahut_arimoto(source, distortion, 0.05, max_iterations=8)
    many = blahut_arimoto(source, distortion, 0.05)
    assert few.iterations == 8 and few.gap > 1e-4 > 1e-7 >= many.gap
    # Both bound the least loss from above, and from below by beta times their gap.
    losses = [found.distortion + 0.05 * found.rate for found in (few, many)]
    assert losses[0] - 0.05 * few.gap <= losses[1] <= losses[0]


def test_another_beta_or_tolerance_does_not_compile_again(caplog):
    def compiled(beta, **limits):
        caplog.clear()
        with jax.log_compiles():
            blahut_arimoto(source, distortion, beta, **limits)
        return [record for record in caplog.records if "Compiling" in record.getMessage()]

    source, distortion = random_problem(2, 3, 4)  # of a shape that no other test here has
    assert compiled(0.2)
    for n, beta in enumerate((0.1, 1.0, 4.0)):
        assert compiled(beta, tolerance=10.0 ** -(n + 3), max_iterations=99 + n) == []


@pytest.mark.parametrize(
    "change, message",
    [
        ({"source": np.array([0.5, 0.6])}, "sum to 1: their sum is 1.1"),
        ({"source": np.array([1.5, -0.5])}, "probabilities"),
        ({"distortion": np.zeros((3, 2))}, r"a row for each of 2 symbols: got shape \(3, 2\)"),
        ({"distortion": np.full((2, 2), np.inf)}, "must be finite"),
        ({"beta": 0.0}, "beta and tolerance must be above 0: got 0"),
        ({"tolerance": 0.0}, "must be above 0"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    given = {"source": np.array([0.5, 0.5]), "distortion": 1 - np.eye(2), "beta": 1.0} | change
    with pytest.raises(ValueError, match=message):
        blahut_arimoto(**given)
