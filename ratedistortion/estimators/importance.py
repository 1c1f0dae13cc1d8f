"""A tighter bound of the likelihood than the ELBO, by importance weighting."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def importance_weighted_nll(
    log_weight: Callable[[Array], Float[Array, "images"]], samples: int, images: int
) -> Float[Array, "images"]:
    r"""Upper bound of -log p(x) of every image with `samples` importance samples.

    $$-\log \tfrac1K \sum_{k=1}^K \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)}, \qquad z_k \sim q(z|x).$$

    Args:
        log_weight: The number k of a sample -> log p(x|z_k) + log p(z_k) - log q(z_k|x) of every
            image in nats, float64, z_k drawn independently for every k.
        samples: K, at least 1; K = 1 is the negative ELBO with a sampled rate.
        images: How many images there are.

    Returns:
        Nats per image. Its mean is at least -log p(x), falls as K grows, and reaches it as K
        goes to infinity.

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, eq. 8.
    """
    nothing = jnp.full((images,), -jnp.inf, jnp.float64)
    total = lax.fori_loop(0, samples, lambda k, total: jnp.logaddexp(total, log_weight(k)), nothing)
    return math.log(samples) - total
