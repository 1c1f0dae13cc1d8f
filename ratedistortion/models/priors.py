"""Priors p(z), the marginal m(z) of Alemi et al. (2018). Each function builds a member.

A member is an `interfaces.Prior` or, if it is made of the encoder, an `EncoderPrior`.
Flax is imported when a member is built, so that the names can be read without it.
"""

import math
from typing import Any

from ratedistortion.models.interfaces import EncoderPrior, GaussianPrior, Prior, Shape
from ratedistortion.settings import Settings


def standard(key: Any, settings: Settings, shape: Shape) -> GaussianPrior:
    """The standard normal N(0, I), which has no parameters.

    Args:
        key: Not used.
        settings: Used is `latents`.
        shape: Not used.
    """
    from ratedistortion.models.gaussian import StandardNormal

    return StandardNormal(settings.latents)


def diagonal(key: Any, settings: Settings, shape: Shape) -> GaussianPrior:
    """A Gaussian with a learned mean and scale for every dimension.

    Args:
        key: Not used.
        settings: Used is `latents`.
        shape: Not used.
    """
    from ratedistortion.models.gaussian import DiagonalNormal

    return DiagonalNormal(settings.latents)


def mixture(key: Any, settings: Settings, shape: Shape) -> Prior:
    """A mixture of `components` diagonal Gaussians, all of it learned.

    Args:
        key: For the initial parameters.
        settings: Used are `components` and `latents`.
        shape: Not used.
    """
    from ratedistortion.models.mixtures import make_mixture

    return make_mixture(key, settings.components, settings.latents)


def vamp(key: Any, settings: Settings, shape: Shape) -> EncoderPrior:
    """The mean of the posteriors of `components` learned pseudo-inputs.

    Args:
        key: For the initial parameters.
        settings: Used is `components`.
        shape: Of an image or a vector: its pseudo-inputs have it.
    """
    from ratedistortion.models.mixtures import Vamp

    return Vamp(key, settings.components, math.prod(shape))


def maf(key: Any, settings: Settings, shape: Shape) -> Prior:
    """A masked autoregressive flow with one hidden layer, the first of `hidden`, in each step.

    Args:
        key: For the initial parameters.
        settings: Used are `hidden` and `latents`.
        shape: Not used.
    """
    from ratedistortion.models.flows import MaskedFlow

    return MaskedFlow(key, settings.latents, settings.hidden[:1])


PRIORS = {"standard": standard, "diagonal": diagonal, "mixture": mixture, "vamp": vamp, "maf": maf}
