"""Encoders: x -> mean and log scale of the Gaussian posterior q(z|x).

A member is `build(key, settings, shape)`: a pytree that, called with x of shape (images,
dimensions), returns the mean and the log of the standard deviation, each (images, latents), the
latter through `bounded_log_scale`, so that no data make it infinite. One whose posterior is not
Gaussian returns a context (images, features) as well, and has `flow(start, context)`, which moves
draws of that Gaussian to codes without a change of volume, and `unflow(z, context)`, its inverse.
`shape` is (height, width, channels), or (dimensions,).
Flax is imported when a member is built, so that the names can be read at no cost.
"""

import math
from typing import Any

from ratedistortion.models.interfaces import Encoder, FlowingEncoder
from ratedistortion.settings import Settings


def linear(key: Any, settings: Settings, shape: tuple[int, ...]) -> Encoder:
    """A mean that is affine in x and one log scale for all x; `hidden` is not used."""
    from ratedistortion.models.layers import LinearEncoder

    return LinearEncoder(key, math.prod(shape), settings.latents)


def mlp(key: Any, settings: Settings, shape: tuple[int, ...]) -> Encoder:
    """A network of `hidden` sigmoid linear layers for the mean and the log scale."""
    from ratedistortion.models.layers import MlpEncoder

    return MlpEncoder(key, math.prod(shape), settings.hidden, settings.latents)


def iaf(key: Any, settings: Settings, shape: tuple[int, ...]) -> FlowingEncoder:
    """The network of `mlp`, then two steps of an inverse autoregressive flow that see x too."""
    from ratedistortion.models.flows import FlowEncoder

    hidden = settings.hidden
    features = hidden[-1] if hidden else settings.latents
    return FlowEncoder(key, math.prod(shape), hidden, settings.latents, features)


def conv(key: Any, settings: Settings, shape: tuple[int, ...]) -> Encoder:
    """A convolution for each of `channels` and `strides`, then one affine map; no `hidden`."""
    from ratedistortion.models.convolutions import ConvolutionalEncoder

    return ConvolutionalEncoder(key, settings, shape, residual=False)


def resnet(key: Any, settings: Settings, shape: tuple[int, ...]) -> Encoder:
    """As `conv`, with a residual block of two convolutions after each."""
    from ratedistortion.models.convolutions import ConvolutionalEncoder

    return ConvolutionalEncoder(key, settings, shape, residual=True)


ENCODERS = {"linear": linear, "mlp": mlp, "conv": conv, "resnet": resnet, "iaf": iaf}
