"""Numbers of a row that can contradict each other: first compared, then held within bounds."""

import math
from typing import Any, NamedTuple

import numpy as np

from ratedistortion.estimators import Estimate
from ratedistortion.measuring.information import terms_of_bounds
from ratedistortion.measuring.measurement import Measurement

# Largest difference that rounding can cause, in nats and as a fraction of the numbers: the
# likelihoods of images and the lower bound of I(n;z) are sums in float32.
_ROUNDING, _ROUNDING_SHARE = 1e-4, 1e-5
# Probability of a false alarm of one comparison; it allows a normal estimate to be off by six of
# its standard errors.
_CHANCE = 1e-9
# A standard error of more than this share of the mean of at least so many images says that one
# image makes up most of the mean.
_MAX_ERROR_SHARE, _MIN_IMAGES = 0.5, 50


class Facts(NamedTuple):
    """What is known about a row besides what was measured.

    Attributes:
        images: N.
        distinct: How many of the N images are different; I(n;z) is at most its logarithm.
        codes: How many codes I(n;z) is averaged over.
        latents: Dimensions of a code.
        entropy: H of the source and its standard error, in nats per image, where H is known and
            the model was not trained on these images; None elsewhere.
        least_distortion: The least value of D that the likelihood allows, nats per image.
        exact: Whether I(n;z) is estimated, and not only bounded.
        importance: Whether an importance-weighted bound was asked for.
        dimensions: Of x; None where they are not known.
        least_likelihood_scale: The smallest scale of the likelihood that can be learned.
    """

    images: int
    distinct: int
    codes: int
    latents: int
    entropy: tuple[float, float] | None
    least_distortion: float
    exact: bool
    importance: bool
    dimensions: int | None = None
    least_likelihood_scale: float = 0.0


def contradictions(m: Measurement, facts: Facts) -> list[str]:
    """Compares the numbers of a row with each other.

    Each check compares two numbers as they were estimated, before any is held within its bounds.
    Rounding may make them differ, and so may sampling: as far as Student's distribution, for as
    many terms as the estimate is a mean of, allows with a probability of 1e-9.

    Args:
        m: What was measured of one model on one split.
        facts: What else is known about the row.

    Returns:
        The names of the checks that fail; none where the numbers agree.
    """
    n, codes, i = facts.images, facts.codes, m.information
    rate, distortion, elbo = (_of(e, n) for e in (m.rate, m.distortion, m.negative_elbo))
    bounds = i.mutual_information_lower, i.mutual_information_upper, i.leave_one_out
    terms = terms_of_bounds(codes, facts.exact, facts.latents)
    lower, upper, leave_one_out = map(_of, bounds, terms)
    # If only some images have a code, copies of an image may all be among the others, and I(n;z)
    # is then averaged over images without a copy.
    ceiling = _exactly(math.log(facts.distinct if codes == n else n))
    found = [f"{name} is missing" for name, value in _needed(m, facts) if not np.isfinite(value)]
    if facts.exact:
        information = _of(i.mutual_information, codes)
        lower, upper = (_as_sure_as(information, bound) for bound in (lower, upper))
    # Each line has a name and two numbers; the check fails if the first number is the larger.
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
        marginal, residual = (_of(e, codes) for e in (i.marginal_kl, i.identity_residual))
        ordered += [
            ("identity", _exactly(abs(residual.value)), residual._replace(value=0.0)),
            ("I < 0", _exactly(0.0), information),
            ("I > its ceiling", information, ceiling),
            ("I > R", information, rate),
            ("I < its lower bound", lower, information),
            ("I > its upper bound", information, upper),
            ("leave-one-out < I", information, leave_one_out),
            ("marginal KL < 0", _exactly(0.0), marginal),
        ]
        if np.isfinite(i.marginal_kl_gaussian):
            gaussian = _exactly(float(i.marginal_kl_gaussian))
            ordered.append(("marginal KL < its Gaussian part", gaussian, marginal))
    found += [name for name, small, large in ordered if _exceeds(small, large)]
    for name, value, error in (
        ("R", rate.value, rate.error),
        ("D", distortion.value - facts.least_distortion, distortion.error),
    ):
        if n >= _MIN_IMAGES and value > 1 and error > _MAX_ERROR_SHARE * value:
            found.append(f"{name} rests on one image")
    if m.likelihood_scale <= facts.least_likelihood_scale:
        found.append("scale at its least: larger betas or fewer latents are needed")
    return found


def within_bounds(m: Measurement, facts: Facts) -> dict[str, Any]:
    """Holds I(n;z), its bounds and those of I(X;Z) within the limits that are known.

    I(n;z) lies between 0 and log N, a lower bound is at most the estimate, and an upper bound is
    at least the estimate. A number on the wrong side of such a limit is there by sampling error.

    Args:
        m: What was measured. `contradictions` tells of numbers that are further off.
        facts: What else is known about the row.

    Returns:
        The columns that are held, in nats per image: each a number with its standard error, but
        `population_information_upper`, which has none. `mutual_information_upper` is the least of
        four upper bounds: the one that needs no codes, R, R less the Gaussian part of the marginal
        KL, and log N. `population_information_upper` is R, or leave-one-out where that is less.
        `leave_one_out` is nan unless it is below R by more than two of its standard errors: it is
        very large for sharp posteriors, and for wide ones it is noise, so that the lesser of the
        two would be too low on average.
    """
    limit, i = math.log(facts.images), m.information
    rate, information, lower, upper, loo = (
        _of(estimate, facts.codes)
        for estimate in (
            m.rate,
            i.mutual_information,
            i.mutual_information_lower,
            i.mutual_information_upper,
            i.leave_one_out,
        )
    )
    least = 0.0
    if facts.exact:
        least = min(max(information.value, 0.0), limit)
        information = information._replace(value=least)
    uppers = [upper, rate, _exactly(limit)]
    if np.isfinite(i.marginal_kl_gaussian):
        uppers.append(rate._replace(value=rate.value - float(i.marginal_kl_gaussian)))
    upper = min(uppers, key=lambda bound: bound.value)
    lower_value = min(max(lower.value, 0.0), least if facts.exact else limit)
    least = max(least, lower_value)
    if not loo.value + 2 * loo.error < rate.value:
        loo = _Number(math.nan, math.nan, None)
    return {
        "mutual_information": (information.value, information.error),
        "mutual_information_lower": (lower_value, lower.error),
        # If the upper bound is below the estimate, that is sampling error: keep the larger.
        "mutual_information_upper": (max(upper.value, least), upper.error),
        "population_information_upper": max(float(np.fmin(rate.value, loo.value)), least),
        "leave_one_out": (loo.value, loo.error),
    }


def as_columns(m: Measurement, facts: Facts) -> dict[str, Any]:
    """The columns of the table that a measurement fills: compared, then held within bounds.

    Args:
        m: What was measured of one model on one split.
        facts: What else is known about the row.

    Returns:
        Column -> value: numbers in nats per image with their standard errors, `status` (ok or
        suspect), `failed_checks` and `saturated`.
    """
    failed = contradictions(m, facts)
    values: dict[str, Any] = {
        "status": "suspect" if failed else "ok",
        "failed_checks": "; ".join(failed) or None,
    }
    for name, number in (m.by_name() | within_bounds(m, facts)).items():
        if isinstance(number, tuple):
            values[name], values[f"{name}_se"] = number
        else:
            values[name] = number
    if facts.exact and math.isfinite(values["mutual_information"]):
        values["saturated"] = values["mutual_information"] > math.log(facts.distinct) - 1
    else:
        values |= {"saturated": None, "active_units": None}
    if math.isfinite(m.likelihood_scale) and facts.dimensions:
        per_nat = 2 * float(m.likelihood_scale) ** 2 / facts.dimensions
        values["distortion_mse"] = per_nat * (values["distortion"] - facts.least_distortion)
        values["distortion_mse_se"] = per_nat * values["distortion_se"]
    return values


class _Number(NamedTuple):
    """A number, its standard error and how many terms it is a mean of; None: it is no estimate."""

    value: float
    error: float
    terms: int | None


def _of(estimate: Estimate, terms: int) -> _Number:
    return _Number(float(estimate.value), float(estimate.standard_error), terms)


def _exactly(value: float) -> _Number:
    return _Number(value, 0.0, None)


def _as_sure_as(information: _Number, bound: _Number) -> _Number:
    """A bound of I(n;z) with at least the standard error that I(n;z) has over as few images.

    The bound is a mean over some of the images that have a code. If something is rare among the
    images, for example an image that is there twice, these few may lack it, and then the spread of
    the bound is too small.
    """
    least = information.error * math.sqrt((information.terms or 1) / (bound.terms or 1))
    return bound._replace(error=max(bound.error, least))


def _exceeds(small: _Number, large: _Number) -> bool:
    """Whether the first number is larger by more than the errors allow; never where one is nan."""
    allowed = math.hypot(*(number.error * _errors(number.terms) for number in (small, large)))
    rounding = _ROUNDING + _ROUNDING_SHARE * min(abs(small.value), abs(large.value))
    return small.value - large.value > allowed + rounding


def _errors(terms: int | None) -> float:
    """How many standard errors a mean of so many terms may be off by chance."""
    from scipy.special import ndtri, stdtrit

    return float(-ndtri(_CHANCE) if terms is None else -stdtrit(max(terms - 1, 1), _CHANCE))


def _needed(m: Measurement, facts: Facts) -> list[tuple[str, float]]:
    """Name and value of every number that a row must have."""
    whole = ["rate", "distortion", "negative_elbo"]
    whole += ["mutual_information", "marginal_kl", "identity_residual"] * facts.exact
    whole += ["nll_iwae"] * facts.importance
    # These need no standard error: a single term has none. Where I(n;z) is only bounded, the upper
    # bound may be infinite, because flows need not overlap.
    values = ["mutual_information_lower"] + ["mutual_information_upper"] * facts.exact
    numbers = m.by_name()
    return [
        *((name, part) for name in whole for part in numbers[name]),
        *((name, numbers[name].value) for name in values),
    ]
