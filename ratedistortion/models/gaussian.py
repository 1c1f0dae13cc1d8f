"""The standard normal prior."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray


class StandardNormal(nnx.Module):
    """p(z) = N(0, I)."""

    def __init__(self, latents: int) -> None:
        self.latents = latents

    def log_density(self, z: Float[Array, "codes latents"]) -> Float[Array, "codes"]:
        """log p(z) in nats, summed over the latent dimensions."""
        return -0.5 * jnp.sum(z**2 + math.log(2 * math.pi), axis=-1)

    def rate(
        self, mean: Float[Array, "images latents"], log_scale: Float[Array, "images latents"]
    ) -> Float[Array, "images"]:
        """KL(N(mean, scale^2) || N(0, I)) in nats, exact (Kingma and Welling 2014, appendix B)."""
        return 0.5 * jnp.sum(mean**2 + jnp.expm1(2 * log_scale) - 2 * log_scale, axis=-1)

    def sample(self, key: PRNGKeyArray, count: int) -> Float[Array, "codes latents"]:
        """Independent draws from p(z)."""
        return jax.random.normal(key, (count, self.latents), jnp.float32)
