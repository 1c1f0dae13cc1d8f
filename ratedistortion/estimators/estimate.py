"""A mean with its standard error."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ratedistortion.estimators.float64 import require_float64


class Estimate(NamedTuple):
    """A mean over independent terms and its standard error.

    Attributes:
        value: The mean, in the unit of the terms.
        standard_error: In the same unit.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]


def estimate(terms: Float[Array, "terms"]) -> Estimate:
    """The mean of independent terms and its standard error, sd / sqrt(count).

    Args:
        terms: One number per image or code, float64.

    Returns:
        The mean and the standard error, in the unit of the terms. The variance is unbiased; a
        single term has none, and the standard error is nan.

    Raises:
        ValueError: If 64-bit numbers are off in JAX or the terms are not float64.

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators import estimate
    >>> with jax.enable_x64(True):
    ...     value, error = estimate(jnp.array([1.0, 2.0, 4.0, 9.0]))
    ...     print(f"{value:.4f} ± {error:.4f}")
    4.0000 ± 1.7795
    """
    require_float64("estimate", terms=terms)
    count = terms.shape[0]
    mean = jnp.mean(terms)
    variance = jnp.sum((terms - mean) ** 2) / (count - 1) if count > 1 else jnp.nan
    return Estimate(mean, jnp.sqrt(variance / count))
