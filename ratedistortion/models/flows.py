"""Autoregressive flows over z: as a prior, and in an encoder whose posterior is not Gaussian."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from ratedistortion.models.interfaces import Posterior
from ratedistortion.models.layers import Mlp, bounded_log_scale
from ratedistortion.models.masked import MaskedNetwork

# The order of the latents turns round after every step, so that each depends on all in the end.
_STEPS = 2
# A step changes a scale by less than e^3 either way, whatever its network says.
_MAX_LOG_SCALE = 3.0
# Close to the identity at the start, but not on it, where gradients of inner layers vanish.
_GAIN = 0.1


class MaskedFlow(nnx.Module):
    """p(z): masked affine steps that take z to a standard normal.

    Densities are parallel; draws take one pass for every latent.

    Source: Papamakarios, Pavlakou and Murray, "Masked autoregressive flow", 2017.
    """

    gaussian = False
    uses_encoder = False

    def __init__(self, key: PRNGKeyArray, latents: int, hidden: Sequence[int]) -> None:
        self.latents = latents
        self.steps = nnx.List(
            MaskedNetwork(step_key, latents, 0, hidden, 2, _GAIN)
            for step_key in jax.random.split(key, _STEPS)
        )

    def log_density(self, z: Float[Array, "codes latents"]) -> Float[Array, "codes"]:
        """log p(z) in nats: that of the normal, less the log scales."""
        log_volume = jnp.zeros(z.shape[:1], z.dtype)
        for step in self.steps:
            shift, log_scale = _affine(step(z, None).reshape(*z.shape, 2))
            z = ((z - shift) * jnp.exp(-log_scale))[:, ::-1]
            log_volume = log_volume - jnp.sum(log_scale, axis=-1)
        return log_volume - 0.5 * jnp.sum(z**2 + math.log(2 * math.pi), axis=-1)

    def sample(self, key: PRNGKeyArray, count: int) -> Float[Array, "codes latents"]:
        """Independent draws from p(z)."""
        z = jax.random.normal(key, (count, self.latents), jnp.float32)
        for step in reversed(self.steps):
            z = _invert(step, _affine, z[:, ::-1])
        return z


class FlowEncoder(nnx.Module):
    """A Gaussian q_0(z|x), and shifts of every latent that depend on x and the latents before it.

    Mean-only steps change no volume: log q(z|x) of a draw is that of its Gaussian start.

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
            MaskedNetwork(step_key, latents, features, (features,), 1, _GAIN)
            for step_key in step_keys
        )

    def __call__(self, x: Float[Array, "images dimensions"]) -> Posterior:
        mean, log_scale, context = jnp.split(
            self.network(x), (self.latents, 2 * self.latents), axis=-1
        )
        return Posterior(mean, bounded_log_scale(log_scale), jax.nn.silu(context))

    def flow(
        self, start: Float[Array, "images latents"], context: Float[Array, "images features"]
    ) -> Float[Array, "images latents"]:
        """Codes from draws of the Gaussian, all latents at once."""
        for step in self.steps:
            start = (start + step(start, context))[:, ::-1]
        return start

    def unflow(
        self, z: Float[Array, "images latents"], context: Float[Array, "images features"]
    ) -> Float[Array, "images latents"]:
        """The draws that `flow` takes to these codes, one latent after another."""
        for step in reversed(self.steps):
            z = _invert(step, _shift, z[:, ::-1], context)
        return z


def _affine(outputs: Array) -> tuple[Array, Array]:
    """Shift and log scale, from (..., 2)."""
    shift, raw = jnp.moveaxis(outputs, -1, 0)
    return shift, _MAX_LOG_SCALE * jnp.tanh(raw / _MAX_LOG_SCALE)


def _shift(outputs: Array) -> tuple[Array, Array]:
    """From (..., 1): a code less what was added to it, in the form of `_affine`."""
    shift = -outputs[..., 0]
    return shift, jnp.zeros_like(shift)


def _invert(
    step: MaskedNetwork,
    affine: Callable[[Array], tuple[Array, Array]],
    u: Array,
    condition: Array | None = None,
) -> Array:
    """The x with (x - shift(x)) exp(-log_scale(x)) = u, where both see the x before only.

    `affine` makes shift and log scale of the step's outputs; one latent after another.
    """

    def fill(i: Array, carry: tuple[Array, Any]) -> tuple[Array, Any]:
        x, cache = carry
        outputs, cache = step.one(i, x, cache)
        shift, log_scale = affine(outputs)
        return x.at[:, i].set(shift + jnp.exp(log_scale) * u[:, i]), cache

    start = jnp.zeros_like(u), step.start(u, condition)
    return lax.fori_loop(0, u.shape[1], fill, start)[0]
