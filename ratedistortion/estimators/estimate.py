"""A mean with its standard error."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Estimate(NamedTuple):
    """A mean over independent terms, and its standard error, in the terms' unit."""

    value: Float[Array, ""]
    standard_error: Float[Array, ""]


def estimate(terms: Float[Array, "terms"]) -> Estimate:
    """The mean of independent terms and its standard error, sd / sqrt(count).

    Args:
        terms: One number per image or code, float64. Fewer than two have no standard error.

    Returns:
        The mean and the standard error; the latter is nan for a single term.
    """
    count = terms.shape[0]
    mean = jnp.mean(terms)
    variance = jnp.sum((terms - mean) ** 2) / (count - 1) if count > 1 else jnp.nan
    return Estimate(mean, jnp.sqrt(variance / count))


def estimate_over_draws(
    terms: Float[Array, "codes"], again: Float[Array, "pairs"], population: int
) -> Estimate:
    r"""The mean over codes given the N posteriors, one code each from a random subset of them.

    What varies is which n were drawn, and z given n. Drawing n without replacement, M of N, takes
    away the share M/N of the former:
    $$\mathrm{se}^2 = \frac1M \left((1 - \tfrac MN) S^2 + \tfrac MN W\right),$$
    S^2 the variance of all terms and W that of terms of one posterior, from pairs.

    Args:
        terms: One number per code, the codes of distinct posteriors.
        again: For the first so many codes, the number that another draw from the same posterior
            gave.
        population: N.

    Returns:
        The mean and its standard error.

    Source: Cochran, "Sampling techniques", 1977, section 10.3 (two-stage sampling).
    """
    mean, error = estimate(terms)
    share = terms.shape[0] / population
    within = 0.5 * jnp.mean((terms[: again.shape[0]] - again) ** 2) / terms.shape[0]
    return Estimate(mean, jnp.sqrt((1 - share) * error**2 + share * within))
