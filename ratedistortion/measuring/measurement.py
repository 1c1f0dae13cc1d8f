"""One model measured on one split; nothing here knows that a sweep has many models."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ratedistortion.estimators import Estimate, estimate, importance_weighted_nll
from ratedistortion.measuring.information import (
    Codes,
    Information,
    bounded_information,
    exact_information,
    not_estimated,
    to_float64,
)
from ratedistortion.models.autoencoder import Autoencoder, Model, Posterior
from ratedistortion.models.shapes import Codes as LatentCodes
from ratedistortion.models.shapes import Images, PerImage

# Images that are measured at once: enough for fast matrix products, few enough for the memory that
# wide convolutions need.
BATCH = 250
_LOG_2PI = math.log(2 * math.pi)


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
        likelihood_scale: Standard deviation of the gaussian likelihood, given or learned, in units
            of the data; nan of other likelihoods.
    """

    rate: Estimate
    distortion: Estimate
    negative_elbo: Estimate
    nll_iwae: Estimate
    information: Information
    likelihood_scale: Any = math.nan

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
        noise_key, row_key, weight_key = keys_of(seed, count)
        noise = jax.random.normal(noise_key, (count, latents), jnp.float32)

        def one_image(inputs: tuple[Array, Array]) -> tuple[Any, ...]:
            image, own_noise = jax.tree.map(lambda leaf: leaf[None], inputs)
            found = coded(autoencoder, model, values(image), own_noise)
            return jax.tree.map(lambda leaf: leaf[0], found)

        def one_rate(inputs: tuple[Posterior, Array]) -> tuple[Array, Array]:
            found = rates_of(autoencoder, model, *jax.tree.map(lambda leaf: leaf[None], inputs))
            return found[0][0], found[1][0]

        def one_bound(row: Array) -> Array:
            x, own = jax.tree.map(lambda leaf: leaf[row][None], (images, posterior))
            return importance_bound(autoencoder, model, values(x), own, row, weight_key, iwae)

        posterior, z, log_likelihood = lax.map(one_image, (images, noise), batch_size=BATCH)
        rates, log_prior = lax.map(one_rate, (posterior, noise), batch_size=BATCH)
        chosen = jax.random.permutation(row_key, count)[: min(codes, count)]
        inform = exact_information if autoencoder.gaussian(model) else bounded_information
        scale = jnp.exp(posterior.log_scale)
        prior = {"log_prior": log_prior}
        none = jnp.zeros((1, latents), jnp.float64)
        if (standard := autoencoder.standardize(model, none, none)) is not None:
            inverse = jnp.exp(standard[1][0])
            prior = {"prior_mean": -standard[0][0] / inverse, "prior_scale": 1 / inverse}
        drawn = Codes(posterior.mean, scale, z, noise, rates, -log_likelihood, chosen, prior)
        rate, negative_elbo, information = inform(autoencoder, model, posterior, drawn)
        nll = not_estimated()
        if iwae:
            nll = estimate(lax.map(one_bound, chosen, batch_size=BATCH))
        distortion = estimate(drawn.distortion)
        s = jnp.asarray(autoencoder.likelihood_scale(model), jnp.float64)
        return Measurement(rate, distortion, negative_elbo, nll, information, s), drawn

    return measure


def keys_of(seed: Any, count: int) -> Array:
    """The keys that one model is measured with on one split.

    Args:
        seed: Of its run.
        count: Images of the split.

    Returns:
        Three: of the codes, of the choice of images, of the importance samples.
    """
    return jax.random.split(jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), count), 3)


def coded(
    autoencoder: Autoencoder, model: Model, x: Images, noise: LatentCodes
) -> tuple[Posterior, LatentCodes, PerImage]:
    """The posterior of every image, one code of it, and log p(x|z) of that code.

    Args:
        autoencoder: The model, as pure functions.
        model: Its parameters.
        x: Images.
        noise: Standard normal numbers.

    Returns:
        Posteriors, codes, and nats in float64.
    """
    posterior = autoencoder.encode(model, x)
    z = autoencoder.draw(model, posterior, noise)
    return posterior, z, to_float64(autoencoder.log_likelihood(model, x, z))


def rates_of(
    autoencoder: Autoencoder, model: Model, posterior: Posterior, noise: LatentCodes
) -> tuple[PerImage, PerImage]:
    """KL(q(z|x) || p(z)) of every posterior, and log p(z) of one code of it.

    Both are in float64 under `jax.enable_x64(True)`.

    Args:
        autoencoder: The model, as pure functions.
        model: Its parameters.
        posterior: Of every image.
        noise: Of the code, on which the rate rests where it has no closed form.

    Returns:
        Nats, each.
    """
    # R is a difference of large numbers: float32 would lose digits.
    part, noise = to_float64((posterior, noise))
    z = autoencoder.draw(model, part, noise)
    return autoencoder.rate(model, part, noise, z), autoencoder.log_prior(model, z)


def importance_bound(
    autoencoder: Autoencoder,
    model: Model,
    x: Float[Array, "1 dimensions"],
    posterior: Posterior,
    index: Int[Array, ""],
    key: PRNGKeyArray,
    samples: int,
) -> Float[Array, ""]:
    r"""Upper bound of -log p(x) of one image, with codes drawn from its posterior.

    $$-\log \tfrac1K \sum_{k=1}^K \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)}, \qquad z_k \sim q(z|x).$$

    Args:
        autoencoder: The model, as pure functions.
        model: Its parameters.
        x: The image, float32.
        posterior: q(z|x) of this image, float32, with a leading axis of one image.
        index: Place of the image in its data set: each image draws other noise.
        key: Of the noise of all images.
        samples: K, at least 1.

    Returns:
        Nats, float64. Its mean over draws is at least -log p(x) and falls as K grows.

    Raises:
        ValueError: If 64-bit numbers are off in JAX.

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, eq. 8.
    """
    latents = posterior.mean.shape[-1]
    constant = jnp.sum(to_float64(posterior.log_scale), axis=-1) + _LOG_2PI * latents / 2

    def log_weight(k: Array) -> Array:
        draw = jax.random.fold_in(jax.random.fold_in(key, k), index)
        noise = jax.random.normal(draw, (1, latents), jnp.float32)
        z = autoencoder.draw(model, posterior, noise)
        log_q = -0.5 * jnp.sum(to_float64(noise) ** 2, axis=-1) - constant
        log_p = to_float64(autoencoder.log_likelihood(model, x, z))
        return log_p + autoencoder.log_prior(model, to_float64(z)) - log_q

    return importance_weighted_nll(log_weight, samples, 1)[0]
