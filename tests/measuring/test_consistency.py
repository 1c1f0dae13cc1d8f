"""Numbers that can contradict each other are compared: each is broken here, and its alarm heard."""

import math

import numpy as np
import pytest
from measured_like import HEALTHY, NONE, of

from ratedistortion.measuring.consistency import Facts, contradictions, within_bounds

N = 1000
FACTS = Facts(
    images=N,
    distinct=N,
    codes=N,
    lower_terms=192,
    upper_terms=N,
    entropy=(80.0, 0.0),
    least_distortion=0.0,
    exact=True,
    importance=True,
)
BOUNDS_ONLY = FACTS._replace(exact=False, lower_terms=6, upper_terms=6, importance=False)


WITHOUT_I = HEALTHY._replace(
    mutual_information=NONE,
    marginal_kl=NONE,
    identity_residual=NONE,
    marginal_kl_gaussian=np.float64(math.nan),
    nll_iwae=NONE,
)


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
    assert alarm in contradictions(HEALTHY._replace(**broken), FACTS)


@pytest.mark.parametrize(
    "broken, alarm",
    [
        ({"mutual_information_lower": of(20.0)}, "lower bound of I > its ceiling"),
        ({"mutual_information_lower": of(12.0)}, "lower bound of I > R"),
        ({"mutual_information_lower": NONE}, "mutual_information_lower is missing"),
    ],
)
def test_where_i_has_bounds_only_they_are_compared(broken, alarm):
    assert alarm in contradictions(WITHOUT_I._replace(**broken), BOUNDS_ONLY)


@pytest.mark.parametrize("terms, allowed", [(10**6, 6.0), (192, 6.3), (10, 23.7), (2, 3.18e8)])
def test_the_fewer_terms_the_farther_chance_may_take_a_mean(terms, allowed):
    """Once in a thousand million: the values are those of SciPy's t.isf(1e-9, terms - 1)."""
    facts = FACTS._replace(codes=terms)
    for share, alarms in ((0.9, []), (1.1, ["identity"])):
        residual = of(share * allowed * 0.01)
        found = contradictions(HEALTHY._replace(identity_residual=residual), facts)
        assert [name for name in found if name == "identity"] == alarms


def test_bounds_of_one_term_have_no_error_and_flows_may_not_overlap():
    one = BOUNDS_ONLY._replace(lower_terms=1, upper_terms=1)
    m = WITHOUT_I._replace(
        mutual_information_lower=of(4.5, math.nan), mutual_information_upper=of(math.inf, math.nan)
    )
    assert contradictions(m, one) == []
    assert within_bounds(m, one)["mutual_information_upper"] == math.log(N)


def test_copies_of_images_lower_the_ceiling():
    """I(n;z) of 125 images eight times each is at most log 125."""
    found = contradictions(HEALTHY, FACTS._replace(distinct=125))
    assert found == ["I > its ceiling"]


def test_codes_of_some_images_may_all_be_of_images_that_are_there_once():
    m = HEALTHY._replace(mutual_information=of(6.9, 1e-3), mutual_information_upper=of(6.9))
    few = FACTS._replace(distinct=950, codes=20)
    assert "I > its ceiling" not in contradictions(m, few)
    assert "I > its ceiling" in contradictions(m, few._replace(codes=N))


def test_a_bound_is_no_surer_than_the_estimate_over_as_few_images():
    """192 rows without a copy have a spread of 0, where 10,000 codes see one in a hundred."""
    facts = FACTS._replace(images=10_000, distinct=9_900, codes=10_000, entropy=None)
    m = HEALTHY._replace(
        mutual_information=of(9.1964, 7e-4),
        mutual_information_lower=of(9.2103, 0.0),
        mutual_information_upper=of(9.2103, 0.0),
        rate=of(40.0),
        marginal_kl=of(30.8),
        leave_one_out=of(1e6, 1e5),
    )
    assert contradictions(m, facts) == []


def test_the_entropy_of_the_source_is_compared_only_where_it_is_given():
    low = HEALTHY._replace(negative_elbo=of(60.0, 0.3), nll_iwae=of(59.0, 0.3))
    assert contradictions(low, FACTS) == ["R + D < H"]
    assert contradictions(low, FACTS._replace(entropy=None)) == []


def test_a_gaussian_likelihood_can_have_negative_distortions():
    low = HEALTHY._replace(distortion=of(-3.0, 0.3), negative_elbo=of(5.0, 0.3), nll_iwae=of(4.0))
    facts = FACTS._replace(least_distortion=-10.0, entropy=None)
    assert contradictions(low, facts) == []


def test_bounds_are_never_below_nothing_nor_on_the_wrong_side_of_the_estimate():
    """Each off by less than its error, as sampling leaves them near R = 0."""
    m = HEALTHY._replace(
        rate=of(-0.0036),
        mutual_information=of(0.0046),
        mutual_information_lower=of(0.0051),
        mutual_information_upper=of(0.004),
        marginal_kl_gaussian=np.float64(0.0),
        leave_one_out=of(-0.02, 0.001),
    )
    columns = within_bounds(m, FACTS)
    assert columns["mutual_information"] == columns["mutual_information_lower"] == 0.0046
    assert columns["mutual_information_upper"] == 0.0046
    assert columns["population_information_upper"] == 0.0046
    nothing = within_bounds(m._replace(mutual_information=of(-1e-9)), FACTS)
    information = {name for name in nothing if "information" in name and "_se" not in name}
    assert {nothing[name] for name in information} == {0.0}


def test_the_upper_bound_is_the_least_there_is():
    for changes, least in (
        ({}, 5.5),
        ({"marginal_kl_gaussian": np.float64(2.8)}, 8.0 - 2.8),
        ({"mutual_information_upper": of(9.0)}, math.log(N)),
        ({"mutual_information_upper": of(9.0), "rate": of(6.0)}, 5.0),
    ):
        columns = within_bounds(HEALTHY._replace(**changes), FACTS)
        assert columns["mutual_information_upper"] == pytest.approx(least)


def test_information_is_at_most_log_n():
    columns = within_bounds(HEALTHY._replace(mutual_information=of(6.9078)), FACTS)
    assert columns["mutual_information"] == math.log(N)


@pytest.mark.parametrize(
    "leave_one_out, useful", [((7.0, 0.1), True), ((7.9, 0.1), False), ((math.inf, 1.0), False)]
)
def test_leave_one_out_is_told_where_it_says_more_than_r(leave_one_out, useful):
    columns = within_bounds(HEALTHY._replace(leave_one_out=of(*leave_one_out)), FACTS)
    assert math.isnan(columns["leave_one_out"]) != useful
    assert columns["population_information_upper"] == (7.0 if useful else 8.0)


def test_bounds_alone_lie_in_order_too():
    m = WITHOUT_I._replace(mutual_information_lower=of(-0.01), mutual_information_upper=of(-0.02))
    columns = within_bounds(m, BOUNDS_ONLY)
    assert columns["mutual_information_lower"] == columns["mutual_information_upper"] == 0
    assert math.isnan(columns["mutual_information"])
