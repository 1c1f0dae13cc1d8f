"""An upper bound of -log p(x) that is tighter than the negative ELBO, by importance weighting."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ratedistortion.estimators.float64 import require_float64


def importance_weighted_nll(
    log_weight: Callable[[Array], Float[Array, "images"]], samples: int, images: int
) -> Float[Array, "images"]:
    r"""Upper bound of -log p(x) of every image with `samples` importance samples.

    $$-\log \tfrac1K \sum_{k=1}^K \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)}, \qquad z_k \sim q(z|x).$$

    Args:
        log_weight: A function of the number k of a sample, 0 to K - 1. It draws z_k of every
            image, independently for every k, and returns log p(x|z_k) + log p(z_k) - log q(z_k|x)
            of every image in nats, float64.
        samples: K, at least 1; K = 1 is the negative ELBO with a sampled rate.
        images: How many images there are.

    Returns:
        Nats per image. Its mean over draws is at least -log p(x), falls as K grows, and reaches
        -log p(x) as K goes to infinity.

    Raises:
        ValueError: If 64-bit numbers are off in JAX or the log weights are not float64.

    Of one image with weights 1/2 and 1/4 the bound is log 8/3 nats; the mean of its two negative
    ELBOs is higher, 1.0397:

    >>> import jax, jax.numpy as jnp
    >>> from ratedistortion.estimators import importance_weighted_nll
    >>> with jax.enable_x64(True):
    ...     log_weights = jnp.log(jnp.array([[0.5], [0.25]]))
    ...     nll = importance_weighted_nll(lambda k: log_weights[k], samples=2, images=1)
    ...     print(nll.round(4))
    [0.9808]

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, eq. 8.
    """
    require_float64("importance_weighted_nll")

    def add_sample(k: Array, total: Array) -> Array:
        weight = log_weight(k)
        require_float64("importance_weighted_nll", log_weight=weight)
        return jnp.logaddexp(total, weight)

    nothing = jnp.full((images,), -jnp.inf, jnp.float64)
    return math.log(samples) - lax.fori_loop(0, samples, add_sample, nothing)
