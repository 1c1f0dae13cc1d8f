"""Priors p(z), the marginal m(z) of Alemi et al. (2018).

A member is `build(key, latents)`: a pytree with

- `log_density(z)`: log p(z) in nats, (codes, latents) -> (codes,);
- `rate(mean, log_scale)`: KL(q || p) in nats, each (images, latents) -> (images,), in closed form;
- `sample(key, count)`: draws of shape (count, latents).
"""

from typing import Any


def standard(key: Any, latents: int) -> Any:
    """The standard normal N(0, I), which has no parameters."""
    from ratedistortion.models.gaussian import StandardNormal

    return StandardNormal(latents)


PRIORS = {"standard": standard}
