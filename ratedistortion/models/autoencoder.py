"""One model out of four families: encoder, decoder, prior and likelihood."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ratedistortion.errors import SettingsError
from ratedistortion.models.families import FAMILIES
from ratedistortion.models.interfaces import Posterior
from ratedistortion.models.sampling import draw_pixels
from ratedistortion.settings import Settings


class Model(NamedTuple):
    """The parameters of one model: a pytree of arrays.

    Attributes:
        encoder: An `interfaces.Encoder`.
        decoder: An `interfaces.Decoder` or `AutoregressiveDecoder`.
        prior: An `interfaces.Prior` or `EncoderPrior`.
    """

    # Typed as what JAX's functions of pytrees return, which may hold gradients or shapes too.
    encoder: Any
    decoder: Any
    prior: Any


class Autoencoder(NamedTuple):
    """What a model can do; every function but `build` takes the parameters first.

    Noise is (images, latents), standard normal; z is what `draw` makes of it.

    Attributes:
        build: key -> Model; raises SettingsError where the families do not go together.
        encode: x (images, dimensions) -> Posterior.
        draw: posterior, noise -> z (images, latents), one code of every posterior, in the
            precision of both.
        gaussian: -> whether q(z|x) is a diagonal Gaussian, so that I(n;z) can be exact.
        log_posterior: posterior, z -> log q(z|x) in nats, (images,), at any z.
        rate: posterior, noise, z -> KL(q || p) in nats, (images,): in closed form where there is
            one, otherwise log q(z|x) - log p(z), whose mean over noise it is.
        latent_rates: posterior -> KL(q || p) of every latent in nats, (images, latents); None where
            there is no closed form.
        log_likelihood: x, z -> log p(x|z) in nats, (images,).
        decode: z, key -> (images, dimensions): E[x|z], or a draw where pixels depend on pixels.
        log_prior: z -> log p(z) in nats, (images,), in the precision of z.
        sample_prior: key, count -> z (count, latents).
        standardize: mean, log_scale -> the same Gaussians in coordinates in which p(z) is a
            standard normal; None where there are none.
    """

    build: Callable[[PRNGKeyArray], Model]
    encode: Callable[[Model, Array], Posterior]
    draw: Callable[[Model, Posterior, Array], Array]
    gaussian: Callable[[Model], bool]
    log_posterior: Callable[[Model, Posterior, Array], Array]
    latent_rates: Callable[[Model, Posterior], Array | None]
    rate: Callable[[Model, Posterior, Array, Array], Array]
    log_likelihood: Callable[[Model, Array, Array], Array]
    decode: Callable[[Model, Array, PRNGKeyArray], Array]
    log_prior: Callable[[Model, Array], Array]
    sample_prior: Callable[[Model, PRNGKeyArray, int], Array]
    standardize: Callable[[Model, Array, Array], tuple[Array, Array] | None]


def make_autoencoder(settings: Settings, shape: tuple[int, ...]) -> Autoencoder:
    """The functions of the model that `settings` names.

    Args:
        settings: The families' names and their options.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector. Images come
            and go flat, (images, dimensions).

    Returns:
        Pure functions; the parameters of a model are an argument of each.
    """
    likelihood = FAMILIES["likelihood"][settings.likelihood](settings)
    dimensions = math.prod(shape)

    def build(key: PRNGKeyArray) -> Model:
        encoder_key, decoder_key, prior_key = jax.random.split(key, 3)
        model = Model(
            FAMILIES["encoder"][settings.encoder](encoder_key, settings, shape),
            FAMILIES["decoder"][settings.decoder](decoder_key, settings, shape, likelihood.outputs),
            FAMILIES["prior"][settings.prior](prior_key, settings, shape),
        )
        if model.prior.uses_encoder and not gaussian(model):
            raise SettingsError(
                f"prior {settings.prior} needs an encoder with a Gaussian posterior: got"
                f" {settings.encoder}; use another prior, such as mixture."
            )
        closed_form = not model.prior.uses_encoder and model.prior.gaussian and gaussian(model)
        if settings.free_bits and not closed_form:
            raise SettingsError(
                "free_bits needs a rate that is a closed form for every latent: use a Gaussian"
                f" prior, standard or diagonal: got prior {settings.prior} and encoder"
                f" {settings.encoder}."
            )
        return model

    def draw(model: Model, posterior: Posterior, noise: Array) -> Array:
        start = posterior.mean + jnp.exp(posterior.log_scale) * noise
        if gaussian(model):
            return start
        return _cast(model.encoder, start.dtype).flow(start, posterior.context)

    def gaussian(model: Model) -> bool:
        return model.encoder.gaussian

    def log_posterior(model: Model, posterior: Posterior, z: Array) -> Array:
        start = z
        if not gaussian(model):
            start = _cast(model.encoder, z.dtype).unflow(z, posterior.context)
        return _log_normal((start - posterior.mean) * jnp.exp(-posterior.log_scale), posterior)

    def prior_of(model: Model, dtype: Any) -> Any:
        prior = model.prior
        return _cast(prior.given(model.encoder) if prior.uses_encoder else prior, dtype)

    def standardize(model: Model, mean: Array, log_scale: Array) -> tuple[Array, Array] | None:
        prior = prior_of(model, mean.dtype)
        return prior.standardize(mean, log_scale) if prior.gaussian else None

    def latent_rates(model: Model, posterior: Posterior) -> Array | None:
        standard = standardize(model, posterior.mean, posterior.log_scale)
        if standard is None or not gaussian(model):
            return None
        mean, log_scale = standard
        # log_scale is subtracted outside the parentheses. With -2 log_scale inside them, JAX 0.11.1
        # and 0.11.2 on CPUs subtract half of it when runs are mapped over two devices, because of a
        # fault in XLA's compiler.
        return 0.5 * (mean**2 + jnp.expm1(2 * log_scale)) - log_scale

    def rate(model: Model, posterior: Posterior, noise: Array, z: Array) -> Array:
        each = latent_rates(model, posterior)
        if each is None:
            return _log_normal(noise, posterior) - log_prior(model, z)
        return jnp.sum(each, axis=-1)

    def log_prior(model: Model, z: Array) -> Array:
        return prior_of(model, z.dtype).log_density(z)

    def per_dimension(outputs: Array) -> Array:
        return outputs.reshape(-1, dimensions, likelihood.outputs)

    def log_likelihood(model: Model, x: Array, z: Array) -> Array:
        outputs = model.decoder(z, x) if model.decoder.autoregressive else model.decoder(z)
        return likelihood.log_density(x, per_dimension(outputs))

    def decode(model: Model, z: Array, key: PRNGKeyArray) -> Array:
        if model.decoder.autoregressive:
            return draw_pixels(model.decoder, likelihood, z, key, dimensions)
        return likelihood.mean(per_dimension(model.decoder(z)))

    return Autoencoder(
        build=build,
        encode=lambda model, x: model.encoder(x),
        draw=draw,
        gaussian=gaussian,
        log_posterior=log_posterior,
        latent_rates=latent_rates,
        rate=rate,
        log_likelihood=log_likelihood,
        decode=decode,
        log_prior=log_prior,
        sample_prior=lambda model, key, count: prior_of(model, jnp.float32).sample(key, count),
        standardize=standardize,
    )


def _cast(module: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(dtype), module)


def _log_normal(noise: Array, posterior: Posterior) -> Array:
    """log q(z|x) in nats of the code that this noise makes; flows of encoders change no volume."""
    return -jnp.sum(0.5 * noise**2 + posterior.log_scale + 0.5 * math.log(2 * math.pi), axis=-1)
