"""The numbers of a row that can contradict each other: compared first, then held within bounds."""

import math
from typing import Any, NamedTuple

import numpy as np

from ratedistortion.estimators import Estimate
from ratedistortion.measuring.measurement import Measurement

# Differences that rounding can make, in nats, and as a share of the numbers compared: images'
# likelihoods and the lower bound of I(n;z) are sums in float32.
_ROUNDING, _SHARE = 1e-4, 1e-5
# How far sampling may take two numbers apart: what a normal estimate exceeds once in a thousand
# million times, six of its standard errors.
_CHANCE = 1e-9
# One image that makes up more than half of a mean over at least so many leaves no mean.
_IMAGES, _HALF = 50, 0.5


class Facts(NamedTuple):
    """What is known of a row beside what was measured.

    Attributes:
        images: N.
        distinct: Different images among them; I(n;z) is at most the logarithm of it.
        codes: How many codes I(n;z) is averaged over.
        lower_terms: How many terms the lower bound of I(n;z) is a mean of.
        upper_terms: The same of the upper bound.
        entropy: H of the source and its standard error where it is known and these images are
            new to the model; None elsewhere.
        least_distortion: The least that D can be under the likelihood, nats per image.
        exact: Whether I(n;z) is estimated, not just bounded.
        importance: Whether an importance-weighted bound was asked for.
    """

    images: int
    distinct: int
    codes: int
    lower_terms: int
    upper_terms: int
    entropy: tuple[float, float] | None
    least_distortion: float
    exact: bool
    importance: bool


def contradictions(m: Measurement, facts: Facts) -> list[str]:
    """The checks that the numbers of a row fail, by name; none where they agree.

    Each compares two numbers as they were estimated, before anything is held within its bounds.
    They may differ by sampling as far as Student's distribution, with as many terms as the
    estimate has, allows once in a thousand million times, and by rounding.

    Args:
        m: What was measured of one model on one split.
        facts: What else is known of the row.
    """
    n, codes = facts.images, facts.codes
    rate, distortion, elbo = (_of(e, n) for e in (m.rate, m.distortion, m.negative_elbo))
    lower = _of(m.mutual_information_lower, facts.lower_terms)
    upper = _of(m.mutual_information_upper, facts.upper_terms)
    # Codes of some images may all be of images that are there once.
    ceiling = _exactly(math.log(facts.distinct if codes == n else n))
    found = [f"{name} is missing" for name, value in _needed(m, facts) if not np.isfinite(value)]
    if facts.exact:
        information = _of(m.mutual_information, codes)
        lower, upper = (_as_sure_as(information, bound) for bound in (lower, upper))
    # Each line: the numbers may not be the other way round.
    ordered = [
        ("R < 0", _exactly(0.0), rate),
        ("lower bound of I < 0", _exactly(0.0), lower),
        ("lower bound of I > its ceiling", lower, ceiling),
        ("lower bound of I > its upper bound", lower, upper),
        ("lower bound of I > R", lower, rate),
        ("D < its least", _exactly(facts.least_distortion), distortion),
    ]
    if facts.entropy is not None:
        ordered.append(("R + D < H", _Number(*facts.entropy, None), elbo))
    if facts.importance:
        ordered.append(("-ELBO < IWAE", _of(m.nll_iwae, codes), elbo))
    if facts.exact:
        marginal, residual = (_of(e, codes) for e in (m.marginal_kl, m.identity_residual))
        ordered += [
            ("identity", _exactly(abs(residual.value)), residual._replace(value=0.0)),
            ("I < 0", _exactly(0.0), information),
            ("I > its ceiling", information, ceiling),
            ("I > R", information, rate),
            ("I < its lower bound", lower, information),
            ("I > its upper bound", information, upper),
            ("leave-one-out < I", information, _of(m.leave_one_out, codes)),
            ("marginal KL < 0", _exactly(0.0), marginal),
        ]
        if np.isfinite(m.marginal_kl_gaussian):
            gaussian = _exactly(float(m.marginal_kl_gaussian))
            ordered.append(("marginal KL < its Gaussian part", gaussian, marginal))
    found += [name for name, small, large in ordered if _exceeds(small, large)]
    for name, value, error in (
        ("R", rate.value, rate.error),
        ("D", distortion.value - facts.least_distortion, distortion.error),
    ):
        if n >= _IMAGES and value > 1 and error > _HALF * value:
            found.append(f"{name} rests on one image")
    return found


def within_bounds(m: Measurement, facts: Facts) -> dict[str, Any]:
    """The columns of a row whose bounds are known, held within them.

    An information is not below 0 nor above log N, and none of its bounds is on the wrong side of
    its estimate: where one came out there, it did so by its error.

    Args:
        m: What was measured; numbers that contradict each other were told of before.
        facts: What else is known of the row.

    Returns:
        Column -> nats per image. `mutual_information_upper` is the least of the bound without
        codes, R, R less the Gaussian part of the marginal KL, and log N. `leave_one_out` is nan
        where it says no more than R: it explodes for sharp posteriors, and is noise for wide ones,
        of which a minimum would take the lucky side.
    """
    limit = math.log(facts.images)
    rate, information, lower, upper, loo = (
        _of(estimate, facts.codes)
        for estimate in (
            m.rate,
            m.mutual_information,
            m.mutual_information_lower,
            m.mutual_information_upper,
            m.leave_one_out,
        )
    )
    least = 0.0
    if facts.exact:
        least = min(max(information.value, 0.0), limit)
        information = information._replace(value=least)
    uppers = [upper, rate, _exactly(limit)]
    if np.isfinite(m.marginal_kl_gaussian):
        uppers.append(rate._replace(value=rate.value - float(m.marginal_kl_gaussian)))
    upper = min(uppers, key=lambda bound: bound.value)
    lower_value = min(max(lower.value, 0.0), least if facts.exact else limit)
    least = max(least, lower_value)
    if not loo.value + 2 * loo.error < rate.value:
        loo = _Number(math.nan, math.nan, None)
    return {
        "mutual_information": information.value,
        "mutual_information_se": information.error,
        "mutual_information_lower": lower_value,
        "mutual_information_lower_se": lower.error,
        "mutual_information_upper": max(upper.value, least),
        "mutual_information_upper_se": upper.error,
        "population_information_upper": max(float(np.fmin(rate.value, loo.value)), least),
        "leave_one_out": loo.value,
        "leave_one_out_se": loo.error,
    }


class _Number(NamedTuple):
    """A number, its standard error, and the count of terms it is a mean of, None where known."""

    value: float
    error: float
    terms: int | None


def _of(estimate: Estimate, terms: int) -> _Number:
    return _Number(float(estimate.value), float(estimate.standard_error), terms)


def _exactly(value: float) -> _Number:
    return _Number(value, 0.0, None)


def _as_sure_as(information: _Number, bound: _Number) -> _Number:
    """A bound that is no surer than I(n;z) over as few images would be.

    It is a mean over some of the images of the codes. What is rare among these, such as an image
    that is there twice, may be missing there, and the spread of the bound does not know it.
    """
    least = information.error * math.sqrt((information.terms or 1) / (bound.terms or 1))
    return bound._replace(error=max(bound.error, least))


def _exceeds(small: _Number, large: _Number) -> bool:
    """Whether the first number is above the second by more than their errors; nan is not."""
    allowed = math.hypot(*(number.error * _errors(number.terms) for number in (small, large)))
    rounding = _ROUNDING + _SHARE * min(abs(small.value), abs(large.value))
    return small.value - large.value > allowed + rounding


def _errors(terms: int | None) -> float:
    """How many standard errors chance allows a mean of so many terms."""
    from scipy.special import ndtri, stdtrit

    return float(-ndtri(_CHANCE) if terms is None else -stdtrit(max(terms - 1, 1), _CHANCE))


def _needed(m: Measurement, facts: Facts) -> list[tuple[str, float]]:
    """Name and value of every number that a row has to have."""
    names = ["rate", "distortion", "negative_elbo"]
    if facts.exact:
        names += ["mutual_information", "marginal_kl", "identity_residual"]
    if facts.importance:
        names.append("nll_iwae")
    needed = [(name, value) for name in names for value in getattr(m, name)]
    # One term has no error, and flows that do not overlap have an upper bound that is infinite.
    needed.append(("mutual_information_lower", m.mutual_information_lower.value))
    if facts.exact:
        needed.append(("mutual_information_upper", m.mutual_information_upper.value))
    return needed
