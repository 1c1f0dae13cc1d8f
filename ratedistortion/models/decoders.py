"""Decoders: a code z -> the parameters of p(x|z), `outputs` real numbers per dimension of x.

A member is `build(key, settings, shape, outputs)`: a pytree that maps (images, latents) to
(images, dimensions * outputs), the outputs of a dimension side by side. One with the attribute
`autoregressive` is called with (z, x), and its numbers for dimension i of the flat image depend
on z and on the dimensions before i only. `shape` is (height, width, channels), or (dimensions,).
Flax is imported when a member is built.
"""

import math
from typing import Any

from ratedistortion.models.interfaces import AutoregressiveDecoder, Decoder
from ratedistortion.settings import Settings


def linear(key: Any, settings: Settings, shape: tuple[int, ...], outputs: int) -> Decoder:
    """One affine map; `hidden` is not used."""
    from ratedistortion.models.layers import MlpDecoder

    return MlpDecoder(key, settings.latents, (), math.prod(shape) * outputs)


def mlp(key: Any, settings: Settings, shape: tuple[int, ...], outputs: int) -> Decoder:
    """A network of `hidden` sigmoid linear layers, in reverse order."""
    from ratedistortion.models.layers import MlpDecoder

    return MlpDecoder(key, settings.latents, settings.hidden[::-1], math.prod(shape) * outputs)


def made(
    key: Any, settings: Settings, shape: tuple[int, ...], outputs: int
) -> AutoregressiveDecoder:
    """Autoregressive: masked dense layers, `hidden` in reverse order, with z in every layer."""
    from ratedistortion.models.masked import Made

    return Made(key, math.prod(shape), settings.latents, settings.hidden[::-1], outputs)


def deconv(key: Any, settings: Settings, shape: tuple[int, ...], outputs: int) -> Decoder:
    """The layers of the encoder `conv` in reverse order; no `hidden`."""
    from ratedistortion.models.convolutions import ConvolutionalDecoder

    return ConvolutionalDecoder(key, settings, shape, outputs, residual=False)


def resnet(key: Any, settings: Settings, shape: tuple[int, ...], outputs: int) -> Decoder:
    """As `deconv`, with a residual block of two convolutions before each layer."""
    from ratedistortion.models.convolutions import ConvolutionalDecoder

    return ConvolutionalDecoder(key, settings, shape, outputs, residual=True)


def pixelcnn(
    key: Any, settings: Settings, shape: tuple[int, ...], outputs: int
) -> AutoregressiveDecoder:
    """Autoregressive: a gated layer for each of `channels`, with z in every layer; no `strides`."""
    from ratedistortion.models.pixelcnn import PixelCnn

    return PixelCnn(key, settings, shape, outputs)


DECODERS = {
    "linear": linear,
    "mlp": mlp,
    "deconv": deconv,
    "resnet": resnet,
    "made": made,
    "pixelcnn": pixelcnn,
}
