"""Likelihoods p(x|z): what the decoder's real numbers mean. Each function makes a member."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ratedistortion.settings import Settings


class LinearOutputs(NamedTuple):
    """How a linear prediction of x becomes the decoder's outputs, and how sure they then are.

    Attributes:
        slope: Change of each output per unit of the prediction, (outputs,).
        bias: The outputs where the prediction is the mean, (dimensions, outputs).
        noise: The variance of one dimension of x about its prediction; None where it is learned,
            for then `skip.Level` computes it.
    """

    slope: Any
    bias: Any
    noise: Any


class Likelihood(NamedTuple):
    """A distribution of every dimension of x, given real numbers from the decoder.

    Attributes:
        outputs: How many numbers the decoder gives for each dimension of x.
        log_density: x (images, dimensions), parameters (images, dimensions, outputs) ->
            log p(x|z) in nats, summed over the dimensions, (images,).
        mean: parameters (..., outputs) -> E[x|z] (...).
        sample: key, parameters (..., outputs) -> one draw of x (...).
        linear: The mean of every dimension of x (dimensions,) -> `LinearOutputs`, from which a
            run starts.
        least: The smallest possible -log p of one dimension, in nats.
        accepts: x, a NumPy array -> whether each of its values has a density, as booleans of the
            same shape; None where that is known when data are read, or for any real number.
        needs: What `accepts` asks for, in words, such as `whole numbers of at least 0`.
    """

    outputs: int
    log_density: Callable[[Any, Any], Any]
    mean: Callable[[Any], Any]
    sample: Callable[[Any, Any], Any]
    linear: Callable[[Any], LinearOutputs]
    least: float = 0.0
    accepts: Callable[[Any], Any] | None = None
    needs: str = "other values"


def bernoulli(settings: Settings) -> Likelihood:
    """Binary x with a logit l from the decoder.

    log p(x|z) is the sum of x l - log(1 + e^l), and log(1 + e^l) = max(l, 0) + log(1 + e^-|l|).
    Logarithms are most of the cost, so each is taken of a product of up to 16 terms 1 + e^-|l|.
    They lie between 1 and 2, so the product cannot overflow. With
    `optax.losses.sigmoid_binary_cross_entropy` instead, a training step takes 29% more CPU time
    with hidden layers 64-64, 12% with 256-256 and 1% with 512-512 (one device, medians of 9 rounds
    in turn).

    Args:
        settings: Not used.

    Returns:
        One output for each pixel, the logit.
    """
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def normaliser(logits: Any) -> Any:
        terms = 1 + jnp.exp(-jnp.abs(logits))
        for _ in range(4):
            half = terms.shape[-1] // 2
            pairs = terms[..., :half] * terms[..., half : 2 * half]
            odd = terms[..., 2 * half :]
            terms = jnp.concatenate([pairs, odd], axis=-1) if odd.shape[-1] else pairs
        return jnp.sum(jnp.maximum(logits, 0), axis=-1) + jnp.sum(jnp.log(terms), axis=-1)

    @normaliser.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        slope = jax.nn.sigmoid(*primals)
        return normaliser(*primals), jnp.sum(slope * tangents[0], axis=-1)

    def log_density(x: Any, logits: Any) -> Any:
        logits = logits[..., 0]
        return jnp.sum(x * logits, axis=-1) - normaliser(logits)

    def mean(logits: Any) -> Any:
        return jax.nn.sigmoid(logits[..., 0])

    def sample(key: Any, logits: Any) -> Any:
        return jax.random.bernoulli(key, mean(logits)).astype(jnp.float32)

    def linear(average: Any) -> LinearOutputs:
        # The logistic function of 4 d is 1/2 + d near its middle.
        inside = jnp.clip(average, 1e-3, 1 - 1e-3)
        logits = jnp.log(inside / (1 - inside))[:, None]
        noise = jnp.maximum(jnp.mean(average * (1 - average)), 1e-3)
        return LinearOutputs(jnp.full((1,), 4.0, jnp.float32), logits, noise)

    return Likelihood(1, log_density, mean, sample, linear)


def gaussian(settings: Settings) -> Likelihood:
    """Real x with a mean from the decoder and the standard deviation `likelihood_scale`.

    Args:
        settings: Used is `likelihood_scale`. Where it is `learned`, x and the outputs must come
            divided by the scale.

    Returns:
        One output for each dimension, the mean.
    """
    import jax
    import jax.numpy as jnp

    learned = settings.likelihood_scale == "learned"
    scale = 1.0 if learned else float(settings.likelihood_scale)
    constant = math.log(scale) + 0.5 * math.log(2 * math.pi)

    def log_density(x: Any, mean: Any) -> Any:
        return -jnp.sum(0.5 * ((x - mean[..., 0]) / scale) ** 2 + constant, axis=-1)

    def sample(key: Any, mean: Any) -> Any:
        return mean[..., 0] + scale * jax.random.normal(key, mean.shape[:-1], jnp.float32)

    def linear(average: Any) -> LinearOutputs:
        noise = None if learned else scale**2
        return LinearOutputs(jnp.ones((1,), jnp.float32), average[:, None], noise)

    return Likelihood(
        outputs=1,
        log_density=log_density,
        mean=lambda mean: mean[..., 0],
        sample=sample,
        linear=linear,
        least=constant,
    )


def discretized_logistic(settings: Settings) -> Likelihood:
    r"""Grey values k / (levels - 1): the logistic distribution's mass of the bin around each.

    With ends a > b of the bin in units of the scale, a bin's mass is
    $$\sigma(a) - \sigma(b) = \sigma(a)\, \sigma(-b)\, (1 - e^{b - a}),$$
    whose logarithm keeps its digits in both tails. The first and the last bin reach to infinity.

    Args:
        settings: Used is `levels`.

    Returns:
        Two outputs for each value: the centre, less a half, and the log scale, plus 2.

    Source: Salimans et al., "PixelCNN++", 2017, section 2.1, without the mixture.
    """
    import jax
    import jax.numpy as jnp

    width = 1 / (settings.levels - 1)

    def split(parameters: Any) -> tuple[Any, Any]:
        # If the decoder gives zeros, the centre is the middle of the range and the scale is e^-2,
        # an eighth of the range. The smallest scale, e^-7, is a quarter of a grey level in 256:
        # with it, a pixel that the decoder knows costs nearly nothing.
        return parameters[..., 0] + 0.5, jnp.maximum(parameters[..., 1] - 2, -7.0)

    def log_density(x: Any, parameters: Any) -> Any:
        centre, log_scale = split(parameters)
        inverse = jnp.exp(-log_scale)
        above = jax.nn.log_sigmoid((x + width / 2 - centre) * inverse)
        below = jax.nn.log_sigmoid(-(x - width / 2 - centre) * inverse)
        inside = above + below + jnp.log(-jnp.expm1(-width * inverse))
        ends = jnp.where(x < width / 2, above, inside)
        return jnp.sum(jnp.where(x > 1 - width / 2, below, ends), axis=-1)

    def mean(parameters: Any) -> Any:
        # This is the centre, the median. The mean of a wide distribution differs, because the range
        # of x is bounded.
        return jnp.clip(split(parameters)[0], 0.0, 1.0)

    def sample(key: Any, parameters: Any) -> Any:
        centre, log_scale = split(parameters)
        x = centre + jnp.exp(log_scale) * jax.random.logistic(key, centre.shape, jnp.float32)
        return jnp.clip(jnp.round(x / width) * width, 0.0, 1.0)

    def linear(average: Any) -> LinearOutputs:
        slope = jnp.array([1.0, 0.0], jnp.float32)
        bias = jnp.stack([average - 0.5, jnp.zeros_like(average)], axis=-1)
        return LinearOutputs(slope, bias, math.pi**2 / 3 * math.exp(-4))

    return Likelihood(2, log_density, mean, sample, linear)


def categorical(settings: Settings) -> Likelihood:
    """Grey values k / (levels - 1), with a logit from the decoder for each.

    Args:
        settings: Used is `levels`.

    Returns:
        `levels` outputs for each value of x.
    """
    import jax
    import jax.numpy as jnp

    levels = settings.levels

    def log_density(x: Any, logits: Any) -> Any:
        level = jnp.round(x * (levels - 1)).astype(jnp.int32)
        log_p = jax.nn.log_softmax(logits, axis=-1)
        return jnp.sum(jnp.take_along_axis(log_p, level[..., None], axis=-1)[..., 0], axis=-1)

    def mean(logits: Any) -> Any:
        return jax.nn.softmax(logits, axis=-1) @ jnp.linspace(0, 1, levels, dtype=jnp.float32)

    def sample(key: Any, logits: Any) -> Any:
        return jax.random.categorical(key, logits).astype(jnp.float32) / (levels - 1)

    def linear(average: Any) -> LinearOutputs:
        # The logits of a Gaussian on the levels are linear in its mean.
        values, noise = jnp.linspace(0, 1, levels, dtype=jnp.float32), 0.05
        slope = values / noise
        return LinearOutputs(slope, (average[:, None] - values[None] / 2) * slope[None], noise)

    return Likelihood(levels, log_density, mean, sample, linear)


LIKELIHOODS = {
    "bernoulli": bernoulli,
    "gaussian": gaussian,
    "discretized-logistic": discretized_logistic,
    "categorical": categorical,
}
