"""Encoders: x -> q(z|x). Each function builds a member, an `interfaces.Encoder`.

Flax is imported when a member is built, so that the names can be read without it.
"""

import math
from typing import Any

from ratedistortion.models.interfaces import Encoder, FlowingEncoder, Shape
from ratedistortion.settings import Settings


def linear(key: Any, settings: Settings, shape: Shape) -> Encoder:
    """A mean that is affine in x and one log scale for all x; `hidden` is not used.

    Args:
        key: For the initial parameters.
        settings: Used is `latents`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
    """
    from ratedistortion.models.layers import LinearEncoder

    return LinearEncoder(settings.latents)


def mlp(key: Any, settings: Settings, shape: Shape) -> Encoder:
    """A network of `hidden` sigmoid linear layers for the mean and the log scale.

    Args:
        key: For the initial parameters.
        settings: Used are `hidden` and `latents`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
    """
    from ratedistortion.models.layers import MlpEncoder

    return MlpEncoder(key, math.prod(shape), settings.hidden, settings.latents)


def iaf(key: Any, settings: Settings, shape: Shape) -> FlowingEncoder:
    """The network of `mlp`, then two steps of an inverse autoregressive flow that see x too.

    Args:
        key: For the initial parameters.
        settings: Used are `hidden` and `latents`.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
    """
    from ratedistortion.models.flows import FlowEncoder

    hidden = settings.hidden
    features = hidden[-1] if hidden else settings.latents
    return FlowEncoder(key, math.prod(shape), hidden, settings.latents, features)


def conv(key: Any, settings: Settings, shape: Shape) -> Encoder:
    """A convolution for each of `channels` and `strides`, then one affine map; no `hidden`.

    Args:
        key: For the initial parameters.
        settings: Used are `channels`, `strides` and `latents`.
        shape: (height, width, channels) of an image.

    Raises:
        SettingsError: If the shape is not that of images that the strides divide.
    """
    from ratedistortion.models.convolutions import ConvolutionalEncoder

    return ConvolutionalEncoder(key, settings, shape, residual=False)


def resnet(key: Any, settings: Settings, shape: Shape) -> Encoder:
    """As `conv`, with a residual block of two convolutions after each.

    Args:
        key: For the initial parameters.
        settings: Used are `channels`, `strides` and `latents`.
        shape: (height, width, channels) of an image.

    Raises:
        SettingsError: If the shape is not that of images that the strides divide.
    """
    from ratedistortion.models.convolutions import ConvolutionalEncoder

    return ConvolutionalEncoder(key, settings, shape, residual=True)


ENCODERS = {"linear": linear, "mlp": mlp, "conv": conv, "resnet": resnet, "iaf": iaf}
