"""Autoregressive flows over z: as a prior, and in an encoder whose posterior is not Gaussian."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, PRNGKeyArray

from ratedistortion.models.interfaces import Posterior
from ratedistortion.models.layers import Mlp
from ratedistortion.models.masked import MaskedNetwork
from ratedistortion.models.shapes import Codes, Condition, Images, Outputs, PerImage

# Steps of a flow. After each step the order of the latents is reversed, so that after two steps
# every latent depends on all of them.
_STEPS = 2
# Limit of the log scale of one step, in nats: it keeps densities finite for any network outputs.
_MAX_LOG_SCALE = 3.0

# From the outputs of a step to a shift and a log scale of every latent.
Affine = Callable[[Array], tuple[Array, Array]]


class MaskedFlow(nnx.Module):
    """p(z): masked affine steps that take z to a standard normal.

    A density takes one pass through the networks; a draw takes one for every latent.

    Args:
        key: For the initial parameters.
        latents: Dimensions of a code.
        hidden: Widths of the layers of each step's network.

    Source: Papamakarios, Pavlakou and Murray, "Masked autoregressive flow", 2017.
    """

    gaussian = False
    uses_encoder = False

    def __init__(self, key: PRNGKeyArray, latents: int, hidden: Sequence[int]) -> None:
        self.latents = latents
        self.steps = nnx.List(
            MaskedNetwork(step_key, latents, 0, hidden, 2)
            for step_key in jax.random.split(key, _STEPS)
        )

    def log_density(self, z: Codes) -> PerImage:
        """log p(z): the log density of the standard normal less the log scales of the steps.

        Args:
            z: Codes, in float32 or float64.

        Returns:
            Nats, in the precision of z.
        """
        log_volume = jnp.zeros(z.shape[:1], z.dtype)
        for step in self.steps:
            shift, log_scale = _affine(step(z, None).reshape(*z.shape, 2))
            z = ((z - shift) * jnp.exp(-log_scale))[:, ::-1]
            log_volume = log_volume - jnp.sum(log_scale, axis=-1)
        return log_volume - 0.5 * jnp.sum(z**2 + math.log(2 * math.pi), axis=-1)

    def sample(self, key: PRNGKeyArray, count: int) -> Codes:
        """Independent draws from p(z).

        Args:
            key: Of the draws.
            count: How many.

        Returns:
            Codes, in float32.
        """
        z = jax.random.normal(key, (count, self.latents), jnp.float32)
        for step in reversed(self.steps):
            z = _invert(step, _affine, z[:, ::-1])
        return z


class FlowEncoder(nnx.Module):
    """A Gaussian q_0(z|x), and shifts of every latent that depend on x and the latents before it.

    Steps that only shift change no volume, so log q(z|x) of a code is that of its Gaussian draw.

    Args:
        key: For the initial parameters.
        dimensions: Of an image.
        hidden: Widths of the layers of the network that sees x.
        latents: Dimensions of a code.
        features: Numbers that the steps get to know about x.

    Source: Kingma et al., "Improved variational inference with inverse autoregressive flow", 2016.
    """

    gaussian = False

    def __init__(
        self, key: PRNGKeyArray, dimensions: int, hidden: Sequence[int], latents: int, features: int
    ) -> None:
        self.latents = latents
        network_key, *step_keys = jax.random.split(key, _STEPS + 1)
        self.network = Mlp(network_key, dimensions, hidden, 2 * latents + features)
        self.steps = nnx.List(
            MaskedNetwork(step_key, latents, features, (features,), 1) for step_key in step_keys
        )

    def __call__(self, x: Images) -> Posterior:
        places = self.latents, 2 * self.latents
        mean, log_scale, context = jnp.split(self.network(x), places, axis=-1)
        return Posterior(mean, log_scale, jax.nn.silu(context))

    def flow(self, start: Codes, context: Outputs) -> Codes:
        """Codes from draws of the Gaussian, all latents at once.

        Args:
            start: Draws.
            context: Of the same images' posteriors.

        Returns:
            Codes z.
        """
        for step in self.steps:
            start = (start + step(start, context))[:, ::-1]
        return start

    def unflow(self, z: Codes, context: Outputs) -> Codes:
        """The draws that `flow` takes to these codes, one latent after another.

        Args:
            z: Codes.
            context: Of the same images' posteriors.

        Returns:
            Draws of the Gaussian.
        """
        for step in reversed(self.steps):
            z = _invert(step, _shift, z[:, ::-1], context)
        return z


def _affine(outputs: Array) -> tuple[Array, Array]:
    """Shift and log scale, from (..., 2)."""
    shift, raw = jnp.moveaxis(outputs, -1, 0)
    return shift, _MAX_LOG_SCALE * jnp.tanh(raw / _MAX_LOG_SCALE)


def _shift(outputs: Array) -> tuple[Array, Array]:
    """The inverse of adding a shift, in the form of `_affine`; from (..., 1)."""
    shift = -outputs[..., 0]
    return shift, jnp.zeros_like(shift)


def _invert(step: MaskedNetwork, affine: Affine, u: Codes, condition: Condition = None) -> Codes:
    """Solves (x - shift(x)) exp(-log_scale(x)) = u for x, one latent after another.

    Shift and log scale of latent i, which `affine` makes of the step's outputs, depend only on the
    latents before i.
    """

    def fill(i: Array, carry: tuple[Array, Any]) -> tuple[Array, Any]:
        x, cache = carry
        outputs, cache = step.one(i, x, cache)
        shift, log_scale = affine(outputs)
        return x.at[:, i].set(shift + jnp.exp(log_scale) * u[:, i]), cache

    start = jnp.zeros_like(u), step.start(u, condition)
    return lax.fori_loop(0, u.shape[1], fill, start)[0]
