"""What a run makes small: D plus a term of R, of images as they are stored."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PRNGKeyArray

from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.models.interfaces import Posterior
from ratedistortion.settings import Settings
from ratedistortion.training.state import DataShape, SweptParameters

# What is added to D, of R in nats.
Term = Callable[[Array], Array]
Loss = Callable[[Model, Array, PRNGKeyArray, Term], tuple[Array, Array]]


class RateTerm(NamedTuple):
    """What R adds to the loss, with a state of its own, as an Optax transformation has one.

    Attributes:
        init: arguments -> log_beta, the state before the first step; None for no state.
        loss: (log_beta, arguments, step, rate) -> what is added to D in training.
        update: (log_beta, arguments, step, rate) -> log_beta after a step at which R was `rate`.
        held_out: (arguments, rate) -> what is added to D where parameters of different steps are
            compared: it depends neither on the step nor on the state.
    """

    init: Callable[[SweptParameters], Any]
    loss: Callable[[Any, SweptParameters, Array, Array], Array]
    update: Callable[[Any, SweptParameters, Array, Array], Any]
    held_out: Callable[[SweptParameters, Array], Array]


def make_loss(settings: Settings, autoencoder: Autoencoder, shape: DataShape) -> Loss:
    """The loss of a model on images as they are stored.

    With free bits f, the R that is weighed is the sum over latents of max(f, mean KL of the
    latent), so that a latent has no gain from falling below f.

    Where the scale of the gaussian likelihood is learned, D is that of the scale at which the D of
    these images is least. It needs no gradient: there, the derivative of D by the scale is zero.

    Args:
        settings: The sweep's settings: free bits are read.
        autoencoder: The model, as pure functions.
        shape: What is static about the data.

    Returns:
        A function of the parameters, stored pixels (images, dimensions), the key of all noise, and
        the term of R, which gets R with its free bits. It returns the loss D + term(R), and D and
        R themselves as an array of two, all in nats per image, the mean over the images.

    Source: Kingma et al., "Improved variational inference with inverse autoregressive flow",
    2016, equation 15, for the free bits. Rybkin et al., "Simple and effective VAE training with
    calibrated decoders", 2021, section 3.2, for the scale.
    """

    def loss(model: Model, stored: Array, key: PRNGKeyArray, term: Term) -> tuple[Array, Array]:
        x, noise, posterior, z = _coded(autoencoder, shape, model, stored, key)
        rate = counted = jnp.mean(autoencoder.rate(model, posterior, noise, z))
        each = autoencoder.latent_rates(model, posterior) if settings.free_bits else None
        if each is not None:
            counted = jnp.sum(jnp.maximum(jnp.mean(each, axis=0), settings.free_bits))
        if autoencoder.learns_scale:
            errors = autoencoder.squared_errors(model, x, z)
            model = autoencoder.with_best_likelihood_scale(model, jnp.mean(errors))
        distortion = -jnp.mean(autoencoder.log_likelihood(model, x, z))
        return distortion + term(counted), jnp.stack([distortion, rate])

    return loss


def fit_likelihood_scale(
    autoencoder: Autoencoder,
    shape: DataShape,
    model: Model,
    images: Array,
    key: PRNGKeyArray,
    batch_size: int,
) -> Model:
    """The model with the scale at which the D of the images is least.

    Args:
        autoencoder: The model, as pure functions.
        shape: What is static about the data.
        model: Its parameters.
        images: Those that count, (images, dimensions) as stored.
        key: Of all noise: one code of every image.
        batch_size: How many images are read at once.

    Returns:
        The same parameters; the scale is in units of the data.
    """

    def one_image(row: Array) -> Array:
        key_of_row = jax.random.fold_in(key, row)
        x, _, _, z = _coded(autoencoder, shape, model, images[row][None], key_of_row)
        return autoencoder.squared_errors(model, x, z)[0]

    errors = lax.map(one_image, jnp.arange(len(images)), batch_size=batch_size)
    return autoencoder.with_best_likelihood_scale(model, jnp.mean(errors))


def _coded(
    autoencoder: Autoencoder, shape: DataShape, model: Model, stored: Array, key: PRNGKeyArray
) -> tuple[Array, Array, Posterior, Array]:
    """Stored images as x, noise, posteriors and codes."""
    noise_key, pixel_key = jax.random.split(key)
    x = stored.astype(jnp.float32) * shape.scale
    if shape.dynamic:
        x = (jax.random.uniform(pixel_key, x.shape, jnp.float32) < x).astype(jnp.float32)
    noise = jax.random.normal(noise_key, (len(stored), autoencoder.latents), jnp.float32)
    posterior = autoencoder.encode(model, x)
    return x, noise, posterior, autoencoder.draw(model, posterior, noise)


def weighted_rate(warmup: int) -> RateTerm:
    """beta R with a given beta, which rises linearly from zero over the first steps.

    Args:
        warmup: The number of steps until beta has its full value; 0 for the first step.

    Returns:
        The term; it has no state.
    """
    return RateTerm(
        init=lambda arguments: None,
        loss=lambda log_beta, arguments, step, rate: (
            warmed_up(step, warmup) * arguments.beta * rate
        ),
        update=lambda log_beta, arguments, step, rate: None,
        held_out=lambda arguments, rate: arguments.beta * rate,
    )


def warmed_up(step: Array, warmup: int) -> Array:
    """The share of its weight that R has at a step: 1 from step `warmup - 1` on.

    Args:
        step: Counts from 0, int32.
        warmup: The number of steps over which the share rises linearly.

    Returns:
        A scalar in (0, 1], float32.
    """
    return jnp.minimum(1.0, (step.astype(jnp.float32) + 1) / max(warmup, 1))
