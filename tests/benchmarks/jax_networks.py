"""The networks of the JAX loop, as a user would write them: plain pytrees, jax.nn and lax.

Each is a pair of functions, `init(key) -> parameters` and `apply(parameters, input, ...)`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import Case
from jax import lax

Params = Any
Networks = tuple[Callable[[Any], Params], Callable[..., jax.Array]]


def dense(key: Any, inputs: int, outputs: int) -> Params:
    """Weights and bias of an affine map."""
    w = jax.random.normal(key, (inputs, outputs)) / np.sqrt(inputs)
    return {"w": w, "b": jnp.zeros(outputs)}


def affine(layer: Params, x: jax.Array) -> jax.Array:
    """The affine map."""
    return x @ layer["w"] + layer["b"]


def mlp(widths: tuple[int, ...]) -> Networks:
    """Dense layers with sigmoid linear units between them."""

    def init(key):
        keys = jax.random.split(key, len(widths) - 1)
        return [dense(*pair) for pair in zip(keys, widths[:-1], widths[1:], strict=True)]

    def apply(layers, x, *_):
        for layer in layers[:-1]:
            x = jax.nn.silu(affine(layer, x))
        return affine(layers[-1], x)

    return init, apply


def filters(key: Any, size: int, inputs: int, outputs: int) -> Params:
    """A square kernel, and a bias."""
    w = jax.random.normal(key, (size, size, inputs, outputs)) / (size * np.sqrt(inputs))
    return {"w": w, "b": jnp.zeros(outputs)}


def convolve(layer: Params, x: jax.Array, stride: int) -> jax.Array:
    """A convolution with a border of one pixel."""
    padding, names = [(1, 1), (1, 1)], ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(x, layer["w"], (stride,) * 2, padding, dimension_numbers=names)
    return y + layer["b"]


def conv(case: Case) -> Networks:
    """Strided convolutions, then one affine map."""
    total = math.prod(case.strides)
    size = case.shape[0] // total * (case.shape[1] // total) * case.channels[-1]

    def init(key):
        *keys, last_key = jax.random.split(key, len(case.channels) + 1)
        widths = (case.shape[-1], *case.channels)
        layers = zip(keys, (s + 2 for s in case.strides), widths[:-1], widths[1:], strict=True)
        return [filters(*layer) for layer in layers], dense(last_key, size, 2 * case.latents)

    def apply(params, x):
        x = x.reshape(-1, *case.shape)
        for layer, stride in zip(params[0], case.strides, strict=True):
            x = jax.nn.silu(convolve(layer, x, stride))
        return affine(params[1], x.reshape(x.shape[0], -1))

    return init, apply


def deconv(case: Case) -> Networks:
    """One affine map, then convolutions whose channels become pixels."""
    total = math.prod(case.strides)
    smallest = (case.shape[0] // total, case.shape[1] // total, case.channels[-1])
    strides = case.strides[::-1]
    widths = (*case.channels[::-1], case.shape[-1])

    def init(key):
        first_key, *keys = jax.random.split(key, len(strides) + 1)
        outputs = (w * s**2 for w, s in zip(widths[1:], strides, strict=True))
        layers = zip(keys, (3 for _ in keys), widths[:-1], outputs, strict=True)
        first = dense(first_key, case.latents, math.prod(smallest))
        return first, [filters(*layer) for layer in layers]

    def apply(params, z, *_):
        x = affine(params[0], z).reshape(-1, *smallest)
        for layer, s in zip(params[1], strides, strict=True):
            x = convolve(layer, jax.nn.silu(x), 1)
            n, h, w, c = x.shape
            x = x.reshape(n, h, w, s, s, c // s**2).transpose(0, 1, 3, 2, 4, 5)
            x = x.reshape(n, h * s, w * s, c // s**2)
        return x.reshape(x.shape[0], -1)

    return init, apply


def made(case: Case) -> Networks:
    """Masked dense layers, each with the code as a condition, and direct connections."""
    pixels, widths = case.dimensions, case.hidden[::-1]
    degrees = [np.arange(1, pixels + 1), *(np.arange(w) * pixels // w for w in widths)]
    pairs = [*zip(degrees, [*degrees[1:], np.arange(pixels)], strict=True)]
    pairs.append((degrees[0], np.arange(pixels)))
    masks = [(a[:, None] <= b[None]).astype(np.float32) for a, b in pairs]

    def init(key):
        keys = jax.random.split(key, (len(masks), 2))
        return [
            (dense(k[0], *mask.shape), dense(k[1], case.latents, mask.shape[1])["w"])
            for k, mask in zip(keys, masks, strict=True)
        ]

    def apply(layers, z, x):
        def one(n, x):
            layer, condition = layers[n]
            return x @ (layer["w"] * masks[n]) + layer["b"] + z @ condition

        units = x
        for n in range(len(widths)):
            units = jax.nn.silu(one(n, units))
        return one(len(widths), units) + one(len(widths) + 1, x)

    return init, apply


ENCODERS = {
    "mlp": lambda case: mlp((case.dimensions, *case.hidden, 2 * case.latents)),
    "conv": conv,
}
DECODERS = {
    "mlp": lambda case: mlp((case.latents, *case.hidden[::-1], case.dimensions)),
    "deconv": deconv,
    "made": made,
}
