"""Mixtures of diagonal Gaussians as priors: free ones, and posteriors of pseudo-inputs."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from ratedistortion.models.interfaces import Posterior
from ratedistortion.models.shapes import Codes, Images, PerImage

# Standard deviation of the components' means at the start of training.
_SPREAD = 0.1

Components = Float[Array, "components latents"]


class Mixture(nnx.Module):
    """p(z) = sum_k w_k N(z; mean_k, scale_k^2); log weights need not be normalised.

    Args:
        mean: Of the components.
        log_scale: Logs of their standard deviations.
        log_weight: Logs of their weights, up to a constant.
    """

    gaussian = False
    uses_encoder = False

    def __init__(
        self, mean: Components, log_scale: Components, log_weight: Float[Array, "components"]
    ) -> None:
        self.mean, self.log_scale = nnx.Param(mean), nnx.Param(log_scale)
        self.log_weight = nnx.Param(log_weight)

    def log_density(self, z: Codes) -> PerImage:
        """log p(z), summed over the latents.

        Args:
            z: Codes, in float32 or float64.

        Returns:
            Nats, in the precision of z.
        """
        # z - mean comes first: a product of z with the inverse scales would lose the digits of
        # components with small scales.
        log_scale = self.log_scale[...]
        standard = (z[:, None] - self.mean[...][None]) * jnp.exp(-log_scale)[None]
        constant = jnp.sum(log_scale + 0.5 * math.log(2 * math.pi), axis=-1)
        log_weight = jax.nn.log_softmax(self.log_weight[...])
        terms = (log_weight - constant)[None] - 0.5 * jnp.sum(standard**2, axis=-1)
        return jax.nn.logsumexp(terms, axis=-1)

    def sample(self, key: PRNGKeyArray, count: int) -> Codes:
        """Independent draws from p(z).

        Args:
            key: Of the draws.
            count: How many.

        Returns:
            Codes, in float32.
        """
        choice_key, noise_key = jax.random.split(key)
        chosen = jax.random.categorical(choice_key, self.log_weight[...], shape=(count,))
        noise = jax.random.normal(noise_key, (count, self.mean.shape[-1]), jnp.float32)
        return self.mean[...][chosen] + jnp.exp(self.log_scale[...][chosen]) * noise


def make_mixture(key: PRNGKeyArray, components: int, latents: int) -> Mixture:
    """Components near the standard normal, with equal weights.

    Args:
        key: Of the means.
        components: How many.
        latents: Dimensions of a code.

    Returns:
        The mixture at the start of training.
    """
    mean = _SPREAD * jax.random.normal(key, (components, latents), jnp.float32)
    return Mixture(mean, jnp.zeros_like(mean), jnp.zeros((components,), jnp.float32))


class Vamp(nnx.Module):
    """p(z) = mean_k q(z|u_k), the posteriors of learned pseudo-inputs u_k.

    Args:
        key: For the pseudo-inputs, which are uniform noise at the start.
        components: How many pseudo-inputs.
        dimensions: Of an image.

    Source: Tomczak and Welling, "VAE with a VampPrior", 2018.
    """

    uses_encoder = True

    def __init__(self, key: PRNGKeyArray, components: int, dimensions: int) -> None:
        self.inputs = nnx.Param(jax.random.uniform(key, (components, dimensions), jnp.float32))

    def given(self, encode: Callable[[Images], Posterior]) -> Mixture:
        """The mixture that this encoder makes of the pseudo-inputs.

        Args:
            encode: Gives the posterior, a Gaussian, of every image.

        Returns:
            p(z), in the encoder's parameters and the pseudo-inputs.
        """
        mean, log_scale, _ = encode(self.inputs[...])
        return Mixture(mean, log_scale, jnp.zeros(mean.shape[:1], jnp.float32))
