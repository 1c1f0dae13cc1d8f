"""Likelihoods p(x|z): what the decoder's real numbers mean.

A member is `make(settings)`, returning a `Likelihood`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ratedistortion.settings import Settings


class Likelihood(NamedTuple):
    """A distribution of every dimension of x, given real numbers from the decoder.

    Attributes:
        outputs: How many numbers the decoder gives for each dimension of x.
        log_density: x (images, dimensions), parameters (images, dimensions, outputs) ->
            log p(x|z) in nats, summed over the dimensions, (images,).
        mean: parameters (..., outputs) -> E[x|z] (...).
        sample: key, parameters (..., outputs) -> one draw of x (...).
    """

    outputs: int
    log_density: Callable[[Any, Any], Any]
    mean: Callable[[Any], Any]
    sample: Callable[[Any, Any], Any]


def bernoulli(settings: Settings) -> Likelihood:
    """Binary x with a logit from the decoder."""
    import jax
    import jax.numpy as jnp

    def log_density(x: Any, logits: Any) -> Any:
        logits = logits[..., 0]
        return jnp.sum(x * logits - jax.nn.softplus(logits), axis=-1)

    def mean(logits: Any) -> Any:
        return jax.nn.sigmoid(logits[..., 0])

    def sample(key: Any, logits: Any) -> Any:
        return jax.random.bernoulli(key, mean(logits)).astype(jnp.float32)

    return Likelihood(1, log_density, mean, sample)


def gaussian(settings: Settings) -> Likelihood:
    """Real x with a mean from the decoder and the standard deviation `likelihood_scale`."""
    import jax
    import jax.numpy as jnp

    scale = settings.likelihood_scale
    constant = math.log(scale) + 0.5 * math.log(2 * math.pi)

    def log_density(x: Any, mean: Any) -> Any:
        return -jnp.sum(0.5 * ((x - mean[..., 0]) / scale) ** 2 + constant, axis=-1)

    def sample(key: Any, mean: Any) -> Any:
        return mean[..., 0] + scale * jax.random.normal(key, mean.shape[:-1], jnp.float32)

    return Likelihood(1, log_density, lambda mean: mean[..., 0], sample)


LIKELIHOODS = {"bernoulli": bernoulli, "gaussian": gaussian}
