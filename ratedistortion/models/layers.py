"""The Flax modules that the families build; imported only when a model is built."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray


class Mlp(nnx.Module):
    """Affine layers with sigmoid linear units between them; without `hidden`, one affine map.

    On binarised MNIST, 2,500 steps, they end 0.5 to 11 nats lower in D + beta R than rectified
    linear units, at the same speed.
    """

    def __init__(self, key: PRNGKeyArray, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        widths = [inputs, *hidden, outputs]
        keys = jax.random.split(key, len(widths) - 1)
        self.layers = nnx.List(
            nnx.Linear(before, after, rngs=nnx.Rngs(params=layer_key))
            for layer_key, before, after in zip(keys, widths[:-1], widths[1:], strict=True)
        )

    def __call__(self, x: Float[Array, "images inputs"]) -> Float[Array, "images outputs"]:
        *hidden, last = self.layers
        for layer in hidden:
            x = jax.nn.silu(layer(x))
        return last(x)


class MlpEncoder(nnx.Module):
    """Mean and log scale of q(z|x), both from the last hidden layer of one network."""

    def __init__(
        self, key: PRNGKeyArray, dimensions: int, hidden: Sequence[int], latents: int
    ) -> None:
        self.network = Mlp(key, dimensions, hidden, 2 * latents)

    def __call__(
        self, x: Float[Array, "images dimensions"]
    ) -> tuple[Float[Array, "images latents"], Float[Array, "images latents"]]:
        mean, log_scale = jnp.split(self.network(x), 2, axis=-1)
        return mean, log_scale


class LinearEncoder(nnx.Module):
    """A mean that is affine in x and a log scale that is the same for every x.

    With a linear decoder and a Gaussian likelihood this family contains the optimum of the
    linear-Gaussian beta-VAE (Lucas et al., "Don't blame the ELBO!", 2019).
    """

    def __init__(self, key: PRNGKeyArray, dimensions: int, latents: int) -> None:
        self.mean = Mlp(key, dimensions, (), latents)
        self.log_scale = nnx.Param(jnp.zeros((latents,), jnp.float32))

    def __call__(
        self, x: Float[Array, "images dimensions"]
    ) -> tuple[Float[Array, "images latents"], Float[Array, "images latents"]]:
        mean = self.mean(x)
        return mean, jnp.broadcast_to(self.log_scale[...], mean.shape)
