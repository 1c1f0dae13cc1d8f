"""Likelihoods p(x|z): what the decoder's real numbers mean.

A member is `make(scale)`, returning the pair of functions in `Likelihood`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Likelihood(NamedTuple):
    """Functions of a decoder's output, each value independent given z.

    Attributes:
        log_density: (x, parameters) -> log p(x|z) in nats, summed over the dimensions of x:
            two arrays (images, dimensions) -> (images,).
        mean: parameters -> E[x|z], the same shape.
    """

    log_density: Callable[[Any, Any], Any]
    mean: Callable[[Any], Any]


def bernoulli(scale: float) -> Likelihood:
    """Binary x with logits from the decoder; `scale` is not used."""
    import jax
    import jax.numpy as jnp

    def log_density(x: Any, logits: Any) -> Any:
        return jnp.sum(x * logits - jax.nn.softplus(logits), axis=-1)

    return Likelihood(log_density, jax.nn.sigmoid)


def gaussian(scale: float) -> Likelihood:
    """Real x with means from the decoder and the fixed standard deviation `scale`."""
    import jax.numpy as jnp

    constant = math.log(scale) + 0.5 * math.log(2 * math.pi)

    def log_density(x: Any, mean: Any) -> Any:
        return -jnp.sum(0.5 * ((x - mean) / scale) ** 2 + constant, axis=-1)

    return Likelihood(log_density, lambda mean: mean)


LIKELIHOODS = {"bernoulli": bernoulli, "gaussian": gaussian}
