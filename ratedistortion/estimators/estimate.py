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
