"""One model measured on one split; nothing here knows that a sweep has many models."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from ratedistortion.estimators import Estimate, estimate
from ratedistortion.measuring.float64 import to_float64
from ratedistortion.measuring.importance import importance_bound
from ratedistortion.measuring.information import (
    Codes,
    Information,
    bounded_information,
    exact_information,
    not_estimated,
)
from ratedistortion.models.autoencoder import Autoencoder, Model, Posterior

# Images that are measured at once: enough for fast matrix products, few enough for the memory that
# wide convolutions need.
BATCH = 250


class Measurement(NamedTuple):
    """All that is measured of one model on one split, in nats per image, float64.

    The estimates stand as they came out: none is held within its bounds yet. Their standard
    errors are those of the choice of images and of one code per image.

    Attributes:
        rate: R, the mean of KL(q(z|x) || p(z)) over images.
        distortion: D, the mean of -log p(x|z) over images.
        negative_elbo: R + D.
        nll_iwae: The importance-weighted upper bound of -log p(x); nan where none was asked for.
        information: I(n;z), the marginal KL and their bounds.
    """

    rate: Estimate
    distortion: Estimate
    negative_elbo: Estimate
    nll_iwae: Estimate
    information: Information

    def by_name(self) -> dict[str, Any]:
        """Every number by its name, those of `information` included.

        Returns:
            Name -> `Estimate`, or an array where a number has no standard error. The names are
            those of the table's columns.
        """
        own = self._asdict()
        return own | own.pop("information")._asdict()


def make_measure(
    autoencoder: Autoencoder, latents: int, scale: float, codes: int, iwae: int = 0
) -> Callable[[Model, Array, Array], tuple[Measurement, Codes]]:
    """Makes the function that measures one model on one split.

    Args:
        autoencoder: The model, as pure functions.
        latents: Latent dimensions.
        scale: Factor from a stored number to a value of x.
        codes: How many codes the mutual information and the marginal KL are averaged over, one
            each of images that are chosen at random; each code is compared with all N
            posteriors. If there are fewer images, all of them are used.
        iwae: Importance samples of each of those images for `nll_iwae`; 0 leaves it out.

    Returns:
        `measure(model, images, seed)`, to be traced under `jax.enable_x64(True)`; images are
        (images, dimensions) as stored. The same seed draws the same noise for every model. It
        raises ValueError where 64-bit numbers are off in JAX.
    """

    def values(images: Array) -> Array:
        return images.astype(jnp.float32) * jnp.float32(scale)

    def measure(model: Model, images: Array, seed: Array) -> tuple[Measurement, Codes]:
        count = images.shape[0]
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), count)
        noise_key, row_key, weight_key = jax.random.split(key, 3)
        noise = jax.random.normal(noise_key, (count, latents), jnp.float32)

        def one_image(inputs: tuple[Array, Array]) -> tuple[Any, ...]:
            image, own_noise = jax.tree.map(lambda leaf: leaf[None], inputs)
            x = values(image)
            posterior = autoencoder.encode(model, x)
            z = autoencoder.draw(model, posterior, own_noise)
            found = posterior, z, to_float64(autoencoder.log_likelihood(model, x, z))
            return jax.tree.map(lambda leaf: leaf[0], found)

        def one_rate(inputs: tuple[Posterior, Array]) -> Array:
            # R is a difference of large numbers: float32 would lose digits.
            part, own_noise = to_float64(jax.tree.map(lambda leaf: leaf[None], inputs))
            z = autoencoder.draw(model, part, own_noise)
            return autoencoder.rate(model, part, own_noise, z)[0]

        def one_bound(row: Array) -> Array:
            x, own = jax.tree.map(lambda leaf: leaf[row][None], (images, posterior))
            return importance_bound(autoencoder, model, values(x), own, row, weight_key, iwae)

        posterior, z, log_likelihood = lax.map(one_image, (images, noise), batch_size=BATCH)
        rates = lax.map(one_rate, (posterior, noise), batch_size=BATCH)
        chosen = jax.random.permutation(row_key, count)[: min(codes, count)]
        inform = exact_information if autoencoder.gaussian(model) else bounded_information
        scale = jnp.exp(posterior.log_scale)
        drawn = Codes(posterior.mean, scale, z, noise, rates, -log_likelihood, chosen)
        rate, negative_elbo, information = inform(autoencoder, model, posterior, drawn)
        nll = not_estimated()
        if iwae:
            nll = estimate(lax.map(one_bound, chosen, batch_size=BATCH))
        measurement = Measurement(
            rate=rate,
            distortion=estimate(drawn.distortion),
            negative_elbo=negative_elbo,
            nll_iwae=nll,
            information=information,
        )
        return measurement, drawn

    return measure
