"""Numbers that can contradict each other: each is broken here, and its check has to fail."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from measured_like import HEALTHY, NONE, changed, of

from ratedistortion.measuring.consistency import Facts, contradictions, within_bounds
from ratedistortion.measuring.measurement import Measurement

N = 1000
FACTS = Facts(
    images=N,
    distinct=N,
    codes=N,
    latents=10,
    entropy=(80.0, 0.0),
    least_distortion=0.0,
    exact=True,
    importance=True,
)
R_OF_SIX = {"rate": of(6.0, 0.05), "marginal_kl_gaussian": np.float64(math.nan)}
BOUNDS_ONLY = FACTS._replace(exact=False, importance=False)


WITHOUT_I = changed(
    HEALTHY,
    mutual_information=NONE,
    marginal_kl=NONE,
    identity_residual=NONE,
    marginal_kl_gaussian=np.float64(math.nan),
    nll_iwae=NONE,
)


def held(m: Measurement, facts: Facts) -> SimpleNamespace:
    """The columns of `within_bounds`, standard errors included."""
    columns = {}
    for name, number in within_bounds(m, facts).items():
        value, error = number if isinstance(number, tuple) else (number, None)
        columns |= {name: value, f"{name}_se": error}
    return SimpleNamespace(**columns)


def test_numbers_that_agree_raise_no_alarm():
    assert contradictions(HEALTHY, FACTS) == []
    assert contradictions(WITHOUT_I, BOUNDS_ONLY) == []


@pytest.mark.parametrize(
    "broken, alarm",
    [
        ({"identity_residual": of(0.1)}, "identity"),
        ({"identity_residual": of(-0.1)}, "identity"),
        ({"rate": of(-0.5, 0.05)}, "R < 0"),
        ({"mutual_information": of(-0.1)}, "I < 0"),
        ({"mutual_information": of(7.1), "mutual_information_upper": of(8)}, "I > its ceiling"),
        ({"rate": of(4.0, 0.05)}, "I > R"),
        ({"mutual_information_lower": of(5.2)}, "I < its lower bound"),
        ({"mutual_information_lower": of(-0.3)}, "lower bound of I < 0"),
        ({"mutual_information_lower": of(7.1)}, "lower bound of I > its ceiling"),
        ({"mutual_information_lower": of(5.7)}, "lower bound of I > its upper bound"),
        ({"mutual_information_upper": of(4.8)}, "I > its upper bound"),
        ({"marginal_kl": of(-0.1)}, "marginal KL < 0"),
        ({"marginal_kl_gaussian": np.float64(3.2)}, "marginal KL < its Gaussian part"),
        ({"leave_one_out": of(4.0, 0.1)}, "leave-one-out < I"),
        ({"negative_elbo": of(77.0, 0.3)}, "R + D < H"),
        ({"distortion": of(-3.0, 0.3)}, "D < its least"),
        ({"nll_iwae": of(86.0, 0.3)}, "-ELBO < IWAE"),
        ({"mutual_information": NONE}, "mutual_information is missing"),
        ({"rate": of(8.0, math.nan)}, "rate is missing"),
        ({"mutual_information_lower": of(math.inf)}, "mutual_information_lower is missing"),
        ({"nll_iwae": NONE}, "nll_iwae is missing"),
        ({"rate": of(1e12, 1e12)}, "R rests on one image"),
        ({"distortion": of(1e12, 1e12)}, "D rests on one image"),
    ],
)
def test_a_number_that_contradicts_another_is_named(broken, alarm):
    assert alarm in contradictions(changed(HEALTHY, **broken), FACTS)


@pytest.mark.parametrize(
    "broken, alarm",
    [
        ({"mutual_information_lower": of(20.0)}, "lower bound of I > its ceiling"),
        ({"mutual_information_lower": of(12.0)}, "lower bound of I > R"),
        ({"mutual_information_lower": NONE}, "mutual_information_lower is missing"),
    ],
)
def test_where_i_has_bounds_only_they_are_compared(broken, alarm):
    assert alarm in contradictions(changed(WITHOUT_I, **broken), BOUNDS_ONLY)


@pytest.mark.parametrize("terms, allowed", [(10**6, 6.0), (192, 6.3), (10, 23.7), (2, 3.18e8)])
def test_the_fewer_terms_the_farther_chance_may_take_a_mean(terms, allowed):
    """Once in a thousand million: the values are those of SciPy's t.isf(1e-9, terms - 1)."""
    facts = FACTS._replace(codes=terms)
    for share, alarms in ((0.9, []), (1.1, ["identity"])):
        residual = of(share * allowed * 0.01)
        found = contradictions(changed(HEALTHY, identity_residual=residual), facts)
        assert [name for name in found if name == "identity"] == alarms


def test_bounds_of_one_term_have_no_error_and_flows_may_not_overlap():
    one = BOUNDS_ONLY._replace(codes=128)
    m = changed(
        WITHOUT_I,
        mutual_information_lower=of(4.5, math.nan),
        mutual_information_upper=of(math.inf, math.nan),
    )
    assert contradictions(m, one) == []
    assert held(m, one).mutual_information_upper == math.log(N)


def test_copies_of_images_lower_the_ceiling():
    """I(n;z) of 125 images eight times each is at most log 125."""
    found = contradictions(HEALTHY, FACTS._replace(distinct=125))
    assert found == ["I > its ceiling"]


def test_codes_of_some_images_may_all_be_of_images_that_are_there_once():
    m = changed(HEALTHY, mutual_information=of(6.9, 1e-3), mutual_information_upper=of(6.9))
    few = FACTS._replace(distinct=950, codes=20)
    assert "I > its ceiling" not in contradictions(m, few)
    assert "I > its ceiling" in contradictions(m, few._replace(codes=N))


def test_a_bound_is_no_surer_than_the_estimate_over_as_few_images():
    """192 rows without a copy have a spread of 0, where 10,000 codes see one in a hundred."""
    facts = FACTS._replace(images=10_000, distinct=9_900, codes=10_000, entropy=None)
    m = changed(
        HEALTHY,
        mutual_information=of(9.1964, 7e-4),
        mutual_information_lower=of(9.2103, 0.0),
        mutual_information_upper=of(9.2103, 0.0),
        rate=of(40.0),
        marginal_kl=of(30.8),
        leave_one_out=of(1e6, 1e5),
    )
    assert contradictions(m, facts) == []


def test_the_entropy_of_the_source_is_compared_only_where_it_is_given():
    low = changed(HEALTHY, negative_elbo=of(60.0, 0.3), nll_iwae=of(59.0, 0.3))
    assert contradictions(low, FACTS) == ["R + D < H"]
    assert contradictions(low, FACTS._replace(entropy=None)) == []


def test_a_gaussian_likelihood_can_have_negative_distortions():
    low = changed(HEALTHY, distortion=of(-3.0, 0.3), negative_elbo=of(5.0, 0.3), nll_iwae=of(4.0))
    facts = FACTS._replace(least_distortion=-10.0, entropy=None)
    assert contradictions(low, facts) == []


def test_bounds_are_never_below_nothing_nor_on_the_wrong_side_of_the_estimate():
    """Each off by less than its error, as sampling leaves them near R = 0."""
    m = changed(
        HEALTHY,
        rate=of(-0.0036),
        mutual_information=of(0.0046),
        mutual_information_lower=of(0.0051),
        mutual_information_upper=of(0.004),
        marginal_kl_gaussian=np.float64(0.0),
        leave_one_out=of(-0.02, 0.001),
    )
    columns = held(m, FACTS)
    assert columns.mutual_information == columns.mutual_information_lower == 0.0046
    assert columns.mutual_information_upper == 0.0046
    assert columns.population_information_upper == 0.0046
    nothing = held(changed(m, mutual_information=of(-1e-9)), FACTS)
    assert {
        nothing.mutual_information,
        nothing.mutual_information_lower,
        nothing.mutual_information_upper,
        nothing.population_information_upper,
    } == {0.0}


@pytest.mark.parametrize(
    "changes, least, error",
    [
        ({}, 5.5, 0.01),
        ({"mutual_information_upper": of(9.0), "marginal_kl_gaussian": np.float64(2.8)}, 5.2, 0.05),
        ({"mutual_information_upper": of(9.0)}, math.log(N), 0.0),
        ({"mutual_information_upper": of(9.0), **R_OF_SIX}, 6.0, 0.05),
    ],
    ids=["without codes", "R less the Gaussian part", "log N", "R"],
)
def test_the_upper_bound_is_the_least_of_four_with_its_own_error(changes, least, error):
    columns = held(changed(HEALTHY, **changes), FACTS)
    assert columns.mutual_information_upper == pytest.approx(least)
    assert columns.mutual_information_upper_se == error


def test_an_upper_bound_below_the_estimate_is_raised_to_it():
    """R is below I(n;z) by two of its standard errors, and so is the bound without codes."""
    m = changed(HEALTHY, rate=of(4.9, 0.05), mutual_information_upper=of(4.99), leave_one_out=of(6))
    columns = held(m, FACTS)
    assert columns.mutual_information_upper == 5.0
    assert columns.population_information_upper == 5.0


def test_upper_bounds_without_an_estimate_are_raised_to_the_lower_bound():
    m = changed(WITHOUT_I, rate=of(4.45, 0.05), mutual_information_upper=of(4.49))
    columns = held(m, BOUNDS_ONLY)
    assert columns.mutual_information_upper == columns.population_information_upper == 4.5


def test_leave_one_out_below_the_estimate_is_raised_to_it():
    columns = held(changed(HEALTHY, leave_one_out=of(4.95)), FACTS)
    assert columns.leave_one_out == 4.95 and columns.population_information_upper == 5.0


def test_information_is_at_most_log_n():
    columns = held(changed(HEALTHY, mutual_information=of(6.9078)), FACTS)
    assert columns.mutual_information == math.log(N)


@pytest.mark.parametrize(
    "leave_one_out, useful",
    [
        ((7.0, 0.1), True),
        ((7.0, 0.4), True),
        ((7.0, 0.6), False),
        ((7.9, 0.1), False),
        ((math.inf, 1.0), False),
    ],
)
def test_leave_one_out_counts_if_it_is_two_errors_below_r(leave_one_out, useful):
    columns = held(changed(HEALTHY, leave_one_out=of(*leave_one_out)), FACTS)
    assert math.isnan(columns.leave_one_out) != useful
    assert columns.population_information_upper == (7.0 if useful else 8.0)


def test_bounds_alone_lie_in_order_too():
    m = changed(WITHOUT_I, mutual_information_lower=of(-0.01), mutual_information_upper=of(-0.02))
    columns = held(m, BOUNDS_ONLY)
    assert columns.mutual_information_lower == columns.mutual_information_upper == 0
    assert math.isnan(columns.mutual_information)
