"""Gaussian priors, whose rate is a closed form."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray

from ratedistortion.models.shapes import Codes, PerImage


class StandardNormal(nnx.Module):
    """p(z) = N(0, I), without parameters.

    Args:
        latents: Dimensions of a code.
    """

    gaussian = True
    uses_encoder = False

    def __init__(self, latents: int) -> None:
        self.latents = latents

    def log_density(self, z: Codes) -> PerImage:
        """log p(z), summed over the latents.

        Args:
            z: Codes, in float32 or float64.

        Returns:
            Nats, in the precision of z.
        """
        return -0.5 * jnp.sum(z**2 + math.log(2 * math.pi), axis=-1)

    def standardize(self, mean: Codes, log_scale: Codes) -> tuple[Codes, Codes]:
        """The Gaussians as they are: p(z) is the standard normal already.

        Args:
            mean: Of diagonal Gaussians.
            log_scale: Logs of their standard deviations.

        Returns:
            The same two arrays.
        """
        return mean, log_scale

    def sample(self, key: PRNGKeyArray, count: int) -> Codes:
        """Independent draws from p(z).

        Args:
            key: Of the draws.
            count: How many.

        Returns:
            Codes, in float32.
        """
        return jax.random.normal(key, (count, self.latents), jnp.float32)


class DiagonalNormal(StandardNormal):
    """p(z) = N(mean, scale^2), both learned, for every dimension; N(0, I) at the start.

    Args:
        latents: Dimensions of a code.
    """

    def __init__(self, latents: int) -> None:
        super().__init__(latents)
        self.mean = nnx.Param(jnp.zeros((1, latents), jnp.float32))
        self.log_scale = nnx.Param(jnp.zeros((1, latents), jnp.float32))

    def log_density(self, z: Codes) -> PerImage:
        """log p(z), summed over the latents.

        Args:
            z: Codes, in float32 or float64.

        Returns:
            Nats, in the precision of z.
        """
        log_scale = self.log_scale[...]
        standard = (z - self.mean[...]) * jnp.exp(-log_scale)
        return -jnp.sum(0.5 * standard**2 + log_scale + 0.5 * math.log(2 * math.pi), axis=-1)

    def standardize(self, mean: Codes, log_scale: Codes) -> tuple[Codes, Codes]:
        """The Gaussians in coordinates in which p(z) is a standard normal.

        Args:
            mean: Of diagonal Gaussians.
            log_scale: Logs of their standard deviations.

        Returns:
            (mean - own mean) / own scale, and log_scale - own log scale.
        """
        own = self.log_scale[...]
        return (mean - self.mean[...]) * jnp.exp(-own), log_scale - own

    def sample(self, key: PRNGKeyArray, count: int) -> Codes:
        """Independent draws from p(z).

        Args:
            key: Of the draws.
            count: How many.

        Returns:
            Codes, in float32.
        """
        return self.mean[...] + jnp.exp(self.log_scale[...]) * super().sample(key, count)
