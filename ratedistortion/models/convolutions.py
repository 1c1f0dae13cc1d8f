"""Convolutional layers, and the encoders and decoders made of them; NHWC throughout."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from ratedistortion.errors import SettingsError
from ratedistortion.models.convolve import convolve, depth_to_space
from ratedistortion.models.interfaces import Posterior, Shape
from ratedistortion.models.layers import LAST_GAIN, dense
from ratedistortion.models.shapes import Codes, Images, Outputs, Pixels
from ratedistortion.settings import Settings, code


class Convolution(nnx.Module):
    """A convolution with a bias: its kernel is a square of stride + 2 pixels.

    Args:
        key: For the initial parameters.
        inputs: Channels of the images.
        outputs: Channels of the result.
        stride: Pixels between neighbouring squares, which so overlap by two.
        gain: Scale of the initial weights, in units of the usual one.
    """

    def __init__(
        self, key: PRNGKeyArray, inputs: int, outputs: int, stride: int = 1, gain: float = 1.0
    ) -> None:
        self.stride = stride
        # The kernel is kept as a matrix, from the pixels of a square to the outputs, so that its
        # initial values have the scale that Flax gives to a dense layer.
        self.product = dense(key, (stride + 2) ** 2 * inputs, outputs, gain)

    def __call__(self, x: Pixels) -> Float[Array, "images rows columns features"]:
        size, bias = self.stride + 2, self.product.bias
        assert bias is not None
        kernel = self.product.kernel[...].reshape(size, size, x.shape[-1], -1)
        convolved: Any = convolve(x, kernel, self.stride)
        return convolved + bias[None, None, None]


class Upsampling(nnx.Module):
    """A convolution that replaces every pixel by a block of `stride` by `stride` pixels.

    Args:
        key: For the initial parameters.
        inputs: Channels of the images.
        outputs: Channels of the result.
        stride: Height and width of a block, in pixels.
        gain: Scale of the initial weights, in units of the usual one.

    Source: Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.
    """

    def __init__(
        self, key: PRNGKeyArray, inputs: int, outputs: int, stride: int, gain: float
    ) -> None:
        self.stride = stride
        self.convolution = Convolution(key, inputs, outputs * stride**2, gain=gain)

    def __call__(self, x: Pixels) -> Float[Array, "images rows columns features"]:
        return depth_to_space(self.convolution(x), self.stride)


class Residual(nnx.Module):
    """x plus a branch: twice a sigmoid linear unit and a convolution.

    Args:
        key: For the initial parameters.
        channels: Of the images and of the result.

    Source: He et al., "Identity mappings in deep residual networks", 2016.
    """

    def __init__(self, key: PRNGKeyArray, channels: int) -> None:
        keys = jax.random.split(key)
        self.first = Convolution(keys[0], channels, channels)
        self.second = Convolution(keys[1], channels, channels)

    def __call__(self, x: Pixels) -> Pixels:
        return x + self.second(jax.nn.silu(self.first(jax.nn.silu(x))))


class ConvolutionalEncoder(nnx.Module):
    """Strided convolutions, each with a residual block if asked for, then one affine map.

    Args:
        key: For the initial parameters.
        settings: Used are `channels`, `strides` and `latents`.
        shape: (height, width, channels) of an image.
        residual: Whether residual blocks are put in.

    Raises:
        SettingsError: If the shape is not that of images that the strides divide.
    """

    gaussian = True

    def __init__(self, key: PRNGKeyArray, settings: Settings, shape: Shape, residual: bool) -> None:
        height, width = _smallest(settings, shape, settings.encoder, "encoder")
        self.shape = shape
        *keys, last_key = jax.random.split(key, len(settings.channels) + 1)
        layers, inputs = [], shape[-1]
        given = zip(keys, settings.channels, settings.strides, strict=True)
        for layer_key, outputs, stride in given:
            first_key, second_key = jax.random.split(layer_key)
            layers.append(Convolution(first_key, inputs, outputs, stride))
            layers += [Residual(second_key, outputs)] if residual else []
            inputs = outputs
        self.layers = nnx.List(layers)
        self.last = dense(last_key, height * width * inputs, 2 * settings.latents, LAST_GAIN)

    def __call__(self, x: Images) -> Posterior:
        features = _through(self.layers, x.reshape(-1, *self.shape))
        features = jax.nn.silu(features).reshape(x.shape[0], -1)
        mean, log_scale = jnp.split(self.last(features), 2, axis=-1)
        return Posterior(mean, log_scale)


class ConvolutionalDecoder(nnx.Module):
    """The encoder's layers in reverse: one affine map, then upsampling.

    Args:
        key: For the initial parameters.
        settings: Used are `channels`, `strides` and `latents`.
        shape: (height, width, channels) of an image.
        outputs: Real numbers for each dimension of x.
        residual: Whether residual blocks are put in.

    Raises:
        SettingsError: If the shape is not that of images that the strides divide.
    """

    autoregressive = False

    def __init__(
        self, key: PRNGKeyArray, settings: Settings, shape: Shape, outputs: int, residual: bool
    ) -> None:
        smallest = _smallest(settings, shape, settings.decoder, "decoder")
        first_key, *keys = jax.random.split(key, len(settings.channels) + 1)
        channels = settings.channels
        self.smallest = (*smallest, channels[-1])
        self.first = dense(first_key, settings.latents, math.prod(self.smallest))
        layers = []
        widths = zip(channels, (shape[-1] * outputs, *channels), settings.strides, strict=False)
        for layer_key, (before, after, stride) in zip(keys, [*widths][::-1], strict=True):
            up_key, block_key = jax.random.split(layer_key)
            layers += [Residual(block_key, before)] if residual else []
            gain = LAST_GAIN if layer_key is keys[-1] else 1.0
            layers.append(Upsampling(up_key, before, after, stride, gain))
        self.layers = nnx.List(layers)

    def __call__(self, z: Codes) -> Outputs:
        features = self.first(z).reshape(-1, *self.smallest)
        return _through(self.layers, jax.nn.silu(features)).reshape(z.shape[0], -1)


def _through(layers: Sequence[Callable[[Array], Array]], x: Array) -> Array:
    """Applies the layers, with sigmoid linear units between them.

    Residual blocks have units of their own inside.
    """
    for n, layer in enumerate(layers):
        x = layer(x if n == 0 or isinstance(layer, Residual) else jax.nn.silu(x))
    return x


def _smallest(settings: Settings, shape: Shape, name: str, family: str) -> tuple[int, int]:
    """Height and width of the images after all strides, which must divide them, in pixels."""
    size, what = " x ".join(str(length) for length in shape), f"{family} {code.shown(name)}"
    if len(settings.channels) != len(settings.strides) or not settings.channels:
        raise SettingsError(
            f"{what}: channels and strides must have one number for each layer: got"
            f" {len(settings.channels)} and {len(settings.strides)}."
        )
    total = math.prod(settings.strides)
    if len(shape) != 3 or shape[0] % total or shape[1] % total:
        raise SettingsError(
            f"{what} needs images, height x width x channels, of a height and a width"
            f" that the strides {','.join(map(str, settings.strides))} divide: got {size}; use"
            " other --strides, or mlp."
        )
    return shape[0] // total, shape[1] // total
