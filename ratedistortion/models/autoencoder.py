"""One model out of four families: encoder, decoder, prior and likelihood."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ratedistortion.models.decoders import DECODERS
from ratedistortion.models.encoders import ENCODERS
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.models.priors import PRIORS
from ratedistortion.settings import Settings


class Model(NamedTuple):
    """The parameters of one model: a pytree of arrays."""

    encoder: Any
    decoder: Any
    prior: Any


class Posterior(NamedTuple):
    """A diagonal Gaussian q(z|x) for every image."""

    mean: Float[Array, "images latents"]
    log_scale: Float[Array, "images latents"]


class Functions(NamedTuple):
    """What a model can do; every function but `build` takes the parameters first.

    Attributes:
        build: key -> Model.
        encode: x (images, dimensions) -> Posterior.
        rate: Posterior -> KL(q || p) in nats, (images,), exact.
        log_likelihood: x, z -> log p(x|z) in nats, (images,).
        decode: z (images, latents) -> E[x|z], (images, dimensions).
        log_prior: z -> log p(z) in nats, (images,).
        sample_prior: key, count -> z (count, latents).
        gaussian_prior: Whether p(z) is a standard normal, so that moments bound the marginal KL.
    """

    build: Callable[[PRNGKeyArray], Model]
    encode: Callable[[Model, Array], Posterior]
    rate: Callable[[Model, Posterior], Array]
    log_likelihood: Callable[[Model, Array, Array], Array]
    decode: Callable[[Model, Array], Array]
    log_prior: Callable[[Model, Array], Array]
    sample_prior: Callable[[Model, PRNGKeyArray, int], Array]
    gaussian_prior: bool


def make_functions(settings: Settings, dimensions: int) -> Functions:
    """The functions of the model that `settings` names, for x of `dimensions` numbers."""
    likelihood = LIKELIHOODS[settings.likelihood](settings.likelihood_scale)
    make_encoder, make_decoder = ENCODERS[settings.encoder], DECODERS[settings.decoder]
    make_prior = PRIORS[settings.prior]

    def build(key: PRNGKeyArray) -> Model:
        encoder_key, decoder_key, prior_key = jax.random.split(key, 3)
        return Model(
            make_encoder(encoder_key, dimensions, settings.hidden, settings.latents),
            make_decoder(decoder_key, settings.latents, settings.hidden, dimensions),
            make_prior(prior_key, settings.latents),
        )

    return Functions(
        build=build,
        encode=lambda model, x: Posterior(*model.encoder(x)),
        rate=lambda model, posterior: model.prior.rate(*posterior),
        log_likelihood=lambda model, x, z: likelihood.log_density(x, model.decoder(z)),
        decode=lambda model, z: likelihood.mean(model.decoder(z)),
        log_prior=lambda model, z: model.prior.log_density(z),
        sample_prior=lambda model, key, count: model.prior.sample(key, count),
        gaussian_prior=settings.prior == "standard",
    )
