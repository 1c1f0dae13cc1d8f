"""Decoders: a code z -> the parameters of p(x|z). Each function builds a member.

A member is an `interfaces.Decoder` or, if pixels depend on pixels, an `AutoregressiveDecoder`.
Flax is imported when a member is built, so that the names can be read without it.
"""

import math
from typing import Any

from ratedistortion.models.interfaces import AutoregressiveDecoder, Decoder, Shape
from ratedistortion.settings import Settings


def linear(key: Any, settings: Settings, shape: Shape, outputs: int) -> Decoder:
    """One affine map; `hidden` is not used.

    Args:
        key: For the initial parameters.
        settings: Used is `latents`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
        outputs: Real numbers for each dimension of x.
    """
    from ratedistortion.models.layers import LinearDecoder

    return LinearDecoder(math.prod(shape) * outputs)


def mlp(key: Any, settings: Settings, shape: Shape, outputs: int) -> Decoder:
    """A network of `hidden` sigmoid linear layers, in reverse order.

    Args:
        key: For the initial parameters.
        settings: Used are `hidden` and `latents`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
        outputs: Real numbers for each dimension of x.
    """
    from ratedistortion.models.layers import MlpDecoder

    return MlpDecoder(key, settings.latents, settings.hidden[::-1], math.prod(shape) * outputs)


def made(key: Any, settings: Settings, shape: Shape, outputs: int) -> AutoregressiveDecoder:
    """Autoregressive: masked dense layers, `hidden` in reverse order, with z in every layer.

    Args:
        key: For the initial parameters.
        settings: Used are `hidden` and `latents`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
        outputs: Real numbers for each dimension of x.
    """
    from ratedistortion.models.masked import Made

    return Made(key, math.prod(shape), settings.latents, settings.hidden[::-1], outputs)


def deconv(key: Any, settings: Settings, shape: Shape, outputs: int) -> Decoder:
    """The layers of the encoder `conv` in reverse order; no `hidden`.

    Args:
        key: For the initial parameters.
        settings: Used are `channels`, `strides` and `latents`.
        shape: (height, width, channels) of an image.
        outputs: Real numbers for each dimension of x.

    Raises:
        SettingsError: If the shape is not that of images that the strides divide.
    """
    from ratedistortion.models.convolutions import ConvolutionalDecoder

    return ConvolutionalDecoder(key, settings, shape, outputs, residual=False)


def resnet(key: Any, settings: Settings, shape: Shape, outputs: int) -> Decoder:
    """As `deconv`, with a residual block of two convolutions before each layer.

    Args:
        key: For the initial parameters.
        settings: Used are `channels`, `strides` and `latents`.
        shape: (height, width, channels) of an image.
        outputs: Real numbers for each dimension of x.

    Raises:
        SettingsError: If the shape is not that of images that the strides divide.
    """
    from ratedistortion.models.convolutions import ConvolutionalDecoder

    return ConvolutionalDecoder(key, settings, shape, outputs, residual=True)


def pixelcnn(key: Any, settings: Settings, shape: Shape, outputs: int) -> AutoregressiveDecoder:
    """Autoregressive: a gated layer for each of `channels`, with z in every layer; no `strides`.

    Args:
        key: For the initial parameters.
        settings: Used are `channels` and `latents`.
        shape: (height, width, channels) of an image.
        outputs: Real numbers for each dimension of x.

    Raises:
        SettingsError: If the shape is not that of images, or there are no channels.
    """
    from ratedistortion.models.pixelcnn import PixelCnn

    return PixelCnn(key, settings, shape, outputs)


DECODERS = {each.__name__: each for each in (linear, mlp, deconv, resnet, made, pixelcnn)}
