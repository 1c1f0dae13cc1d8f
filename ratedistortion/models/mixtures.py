"""Mixtures of diagonal Gaussians as priors: free ones, and posteriors of pseudo-inputs."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from ratedistortion.models.interfaces import Encoder


class Mixture(nnx.Module):
    """p(z) = sum_k w_k N(z; mean_k, scale_k^2); log weights need not be normalised."""

    gaussian = False
    uses_encoder = False

    def __init__(
        self,
        mean: Float[Array, "components latents"],
        log_scale: Float[Array, "components latents"],
        log_weight: Float[Array, "components"],
    ) -> None:
        self.mean, self.log_scale = nnx.Param(mean), nnx.Param(log_scale)
        self.log_weight = nnx.Param(log_weight)

    def log_density(self, z: Float[Array, "codes latents"]) -> Float[Array, "codes"]:
        """log p(z) in nats. Differences are taken before products, for sharp components' sake."""
        log_scale = self.log_scale[...]
        standard = (z[:, None] - self.mean[...][None]) * jnp.exp(-log_scale)[None]
        constant = jnp.sum(log_scale + 0.5 * math.log(2 * math.pi), axis=-1)
        log_weight = jax.nn.log_softmax(self.log_weight[...])
        terms = (log_weight - constant)[None] - 0.5 * jnp.sum(standard**2, axis=-1)
        return jax.nn.logsumexp(terms, axis=-1)

    def sample(self, key: PRNGKeyArray, count: int) -> Float[Array, "codes latents"]:
        """Independent draws from p(z)."""
        choice_key, noise_key = jax.random.split(key)
        chosen = jax.random.categorical(choice_key, self.log_weight[...], shape=(count,))
        noise = jax.random.normal(noise_key, (count, self.mean.shape[-1]), jnp.float32)
        return self.mean[...][chosen] + jnp.exp(self.log_scale[...][chosen]) * noise


def make_mixture(key: PRNGKeyArray, components: int, latents: int) -> Mixture:
    """Components of scale one half around draws of a standard normal, with equal weights."""
    mean = jax.random.normal(key, (components, latents), jnp.float32)
    log_scale = jnp.full((components, latents), math.log(0.5), jnp.float32)
    return Mixture(mean, log_scale, jnp.zeros((components,), jnp.float32))


class Vamp(nnx.Module):
    """p(z) = mean_k q(z|u_k), the posteriors of learned pseudo-inputs u_k.

    Source: Tomczak and Welling, "VAE with a VampPrior", 2018.
    """

    uses_encoder = True

    def __init__(self, inputs: Float[Array, "components dimensions"]) -> None:
        self.inputs = nnx.Param(inputs)

    def given(self, encoder: Encoder) -> Mixture:
        """The mixture that this encoder makes of the pseudo-inputs."""
        mean, log_scale, _ = encoder(self.inputs[...])
        return Mixture(mean, log_scale, jnp.zeros(mean.shape[:1], jnp.float32))


def make_vamp(key: PRNGKeyArray, components: int, dimensions: int) -> Vamp:
    """Pseudo-inputs that are uniform noise at the start."""
    return Vamp(jax.random.uniform(key, (components, dimensions), jnp.float32))
