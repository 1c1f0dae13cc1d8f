"""Priors p(z), the marginal m(z) of Alemi et al. (2018).

A member is `build(key, settings, shape)`: a pytree with

- `log_density(z)`: log p(z) in nats, (codes, latents) -> (codes,), in the precision of z;
- `sample(key, count)`: draws of shape (count, latents);
- `standardize(mean, log_scale)`, if p(z) is Gaussian: diagonal Gaussians (images, latents) in
  coordinates in which p(z) is a standard normal, which gives the rate in closed form;
- `given(encoder)`, if p(z) is made of the encoder: the prior with the methods above.
"""

import math
from typing import Any

from ratedistortion.models.interfaces import EncoderPrior, GaussianPrior, Prior
from ratedistortion.settings import Settings


def standard(key: Any, settings: Settings, shape: tuple[int, ...]) -> GaussianPrior:
    """The standard normal N(0, I), which has no parameters."""
    from ratedistortion.models.gaussian import StandardNormal

    return StandardNormal(settings.latents)


def diagonal(key: Any, settings: Settings, shape: tuple[int, ...]) -> GaussianPrior:
    """A Gaussian with a learned mean and scale for every dimension."""
    from ratedistortion.models.gaussian import DiagonalNormal

    return DiagonalNormal(settings.latents)


def mixture(key: Any, settings: Settings, shape: tuple[int, ...]) -> Prior:
    """A mixture of `components` diagonal Gaussians, all of it learned."""
    from ratedistortion.models.mixtures import make_mixture

    return make_mixture(key, settings.components, settings.latents)


def vamp(key: Any, settings: Settings, shape: tuple[int, ...]) -> EncoderPrior:
    """The mean of the posteriors of `components` learned pseudo-inputs."""
    from ratedistortion.models.mixtures import make_vamp

    return make_vamp(key, settings.components, math.prod(shape))


def maf(key: Any, settings: Settings, shape: tuple[int, ...]) -> Prior:
    """A masked autoregressive flow with one hidden layer, the first of `hidden`, in each step."""
    from ratedistortion.models.flows import MaskedFlow

    return MaskedFlow(key, settings.latents, settings.hidden[:1])


PRIORS = {
    "standard": standard,
    "diagonal": diagonal,
    "mixture": mixture,
    "vamp": vamp,
    "maf": maf,
}
