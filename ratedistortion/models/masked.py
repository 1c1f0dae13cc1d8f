"""Dense networks whose output i sees the inputs before i only, and a condition in full."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray


class MaskedLayer(nnx.Module):
    """An affine map with the connections that degrees allow, and a full one of the condition.

    A unit of degree m depends on inputs before m only. An input j has degree j + 1.
    """

    def __init__(
        self,
        key: PRNGKeyArray,
        degrees: tuple[np.ndarray, np.ndarray],
        conditions: int,
        gain: float = 1.0,
    ) -> None:
        self.degrees = tuple(tuple(part.tolist()) for part in degrees)
        inputs, outputs = (len(part) for part in degrees)
        initial = nnx.initializers.variance_scaling(gain**2, "fan_in", "truncated_normal")
        keys = [nnx.Rngs(params=each) for each in jax.random.split(key)]
        self.masked = nnx.Linear(inputs, outputs, rngs=keys[0], kernel_init=initial)
        self.condition = (
            nnx.Linear(conditions, outputs, rngs=keys[1], kernel_init=initial, use_bias=False)
            if conditions
            else None
        )

    def __call__(
        self,
        x: Float[Array, "images inputs"],
        condition: Float[Array, "images conditions"] | None,
    ) -> Float[Array, "images outputs"]:
        before, after = (np.array(part) for part in self.degrees)
        kernel = jnp.where(before[:, None] <= after[None], self.masked.kernel[...], 0)
        end = x @ kernel + self.masked.bias[...][None]
        return end if self.condition is None else end + self.condition(condition)


class MaskedNetwork(nnx.Module):
    """Masked layers with sigmoid linear units between them, and a masked one from x to the end.

    Degrees are spread evenly over the units: drawn at random, they would differ between seeds
    for no gain. The direct connections carry what needs no hidden unit.

    Source: Germain, Gregor, Murray and Larochelle, "MADE", 2015.
    """

    def __init__(
        self,
        key: PRNGKeyArray,
        dimensions: int,
        conditions: int,
        hidden: Sequence[int],
        outputs: int,
        gain: float = 1.0,
    ) -> None:
        inputs = np.arange(1, dimensions + 1)
        # Degree 0 sees the condition only; dimensions - 1 is all that the last output may see.
        inner = [np.arange(width) * dimensions // width for width in hidden]
        last = np.repeat(np.arange(dimensions), outputs)
        *keys, last_key, direct_key = jax.random.split(key, len(hidden) + 2)
        before = [inputs, *inner]
        self.layers = nnx.List(
            MaskedLayer(each, pair, conditions)
            for each, pair in zip(keys, zip(before[:-1], inner, strict=True), strict=True)
        )
        self.last = MaskedLayer(last_key, (before[-1], last), conditions, gain)
        self.direct = MaskedLayer(direct_key, (inputs, last), conditions, gain) if hidden else None

    def __call__(
        self,
        x: Float[Array, "images dimensions"],
        condition: Float[Array, "images conditions"] | None,
    ) -> Float[Array, "images outputs"]:
        """The outputs of a dimension side by side."""
        units: Any = x
        for layer in self.layers:
            units = jax.nn.silu(layer(units, condition))
        end = self.last(units, condition)
        return end if self.direct is None else end + self.direct(x, condition)


class Made(nnx.Module):
    """p(x|z) as a product over the dimensions in their order, by matrix products only."""

    autoregressive = True

    def __init__(
        self, key: PRNGKeyArray, dimensions: int, latents: int, hidden: Sequence[int], outputs: int
    ) -> None:
        self.network = MaskedNetwork(key, dimensions, latents, hidden, outputs)

    def __call__(
        self, z: Float[Array, "images latents"], x: Float[Array, "images dimensions"]
    ) -> Float[Array, "images outputs"]:
        return self.network(x, z)
