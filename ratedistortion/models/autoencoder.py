"""One model out of four families: encoder, decoder, prior and likelihood."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PRNGKeyArray

from ratedistortion.datasets.principal import Principal
from ratedistortion.errors import SettingsError
from ratedistortion.models.contract import check_own
from ratedistortion.models.draws import draw_pixels
from ratedistortion.models.families import members
from ratedistortion.models.interfaces import Posterior
from ratedistortion.models.shapes import Codes, Images, Outputs, PerImage
from ratedistortion.models.skip import (
    Level,
    Skip,
    level_of_beta,
    level_of_rate,
    optimal_skip,
    random_skip,
)
from ratedistortion.settings import Settings, code

# Latents where the settings do not say: a code of small beta needs that many.
_MAX_LATENTS = 256
# The smallest scale that is learned, in units of x.
_LEAST_SCALE = 1e-4


class Model(NamedTuple):
    """The parameters of one model: a pytree of arrays.

    Attributes:
        encoder: An `interfaces.Encoder`.
        decoder: An `interfaces.Decoder` or `AutoregressiveDecoder`.
        prior: An `interfaces.Prior` or `EncoderPrior`.
        skip: The linear maps beside encoder and decoder.
        likelihood_scale: Standard deviation of the gaussian likelihood where it is learned, in
            units of the data: no gradient changes it, and it is nan until it is fitted. None
            elsewhere.
    """

    # Typed as what JAX's functions of pytrees return, which may hold gradients or shapes too.
    encoder: Any
    decoder: Any
    prior: Any
    skip: Skip
    likelihood_scale: Any = None


class Autoencoder:
    """What a model can do; the parameters are an argument of every function but `build`.

    Args:
        settings: The families' names and their options.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector. Images come
            and go flat, (images, dimensions).
        spread: Units of the data in one unit of x, for each dimension, where the networks see
            standardised data: the Gaussian likelihood stays that of the data. None for one.
        builders: Family -> function, in place of what the settings name: for tests of a function.

    Attributes:
        latents: Dimensions of a code: as the settings say, else 256, or those of x if fewer.
        likelihood: What the decoder's outputs mean.
        learns_scale: Whether the scale of the gaussian likelihood is learned.

    Raises:
        SettingsError: If code of the user's own is not at hand, or its members do not keep to what
            members must.
    """

    def __init__(
        self,
        settings: Settings,
        shape: tuple[int, ...],
        spread: np.ndarray | None = None,
        builders: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self._dimensions = math.prod(shape)
        self.latents = settings.latents or min(_MAX_LATENTS, self._dimensions)
        self._settings = dataclasses.replace(settings, latents=self.latents)
        self._shape, self._spread = shape, spread
        self._builders = members(settings) | dict(builders or {})
        check_own(self._builders, self._settings, shape)
        self.likelihood = self._builders["likelihood"](self._settings)
        self.learns_scale = settings.likelihood_scale == "learned"

    def build(self, key: PRNGKeyArray) -> Model:
        """Random parameters, with which training starts unless `optimal` replaces the linear maps.

        Args:
            key: For all of them.

        Raises:
            SettingsError: If the families do not go together.
        """
        settings, shape, builders = self._settings, self._shape, self._builders
        keys, outputs = jax.random.split(key, 4), self.likelihood.outputs
        model = Model(
            builders["encoder"](keys[0], settings, shape),
            builders["decoder"](keys[1], settings, shape, outputs),
            builders["prior"](keys[2], settings, shape),
            random_skip(keys[3], self._dimensions, self.latents, self._dimensions * outputs),
            jnp.float32(jnp.nan) if self.learns_scale else None,
        )
        encoder, prior = code.shown(settings.encoder), code.shown(settings.prior)
        gaussian, uses_encoder = self.gaussian(model), model.prior.uses_encoder
        if uses_encoder and not gaussian:
            raise SettingsError(
                f"prior {prior} needs an encoder with a Gaussian posterior: got {encoder}; use"
                " another prior, such as mixture."
            )
        if settings.free_bits and (uses_encoder or not (model.prior.gaussian and gaussian)):
            raise SettingsError(
                "free_bits needs a rate that is a closed form for every latent: use a Gaussian"
                f" prior, standard or diagonal: got prior {prior} and encoder {encoder}."
            )
        return model

    def optimal(self, model: Model, principal: Principal, level: Level) -> Model:
        """The model with its linear maps at the optimum of the linear beta-VAE.

        Args:
            model: The parameters.
            principal: Of the training images.
            level: Of a beta or of a rate.
        """
        outputs = self.likelihood.linear(principal.mean)
        return model._replace(skip=optimal_skip(principal, outputs, level.level, self.latents))

    def level(
        self, principal: Principal, beta: Array | None = None, rate: Array | None = None
    ) -> Level:
        """Where the linear beta-VAE is at its optimum.

        Args:
            principal: Of the training images.
            beta: The weight of the rate.
            rate: R in nats, instead of beta.
        """
        noise = self.likelihood.linear(principal.mean).noise
        if rate is not None:
            return level_of_rate(principal, noise, rate)
        assert beta is not None
        return level_of_beta(principal, noise, beta)

    def encode(self, model: Model, x: Images) -> Posterior:
        """The posterior of every image.

        Args:
            model: The parameters.
            x: Images.
        """
        return model.skip.encode(model.encoder, x)

    def draw(self, model: Model, posterior: Posterior, noise: Codes) -> Codes:
        """One code of every posterior.

        Args:
            model: The parameters.
            posterior: Of every image.
            noise: Standard normal numbers.

        Returns:
            z, in the precision of both.
        """
        start = posterior.mean + jnp.exp(posterior.log_scale) * noise
        if self.gaussian(model):
            return start
        return _cast(model.encoder, start.dtype).flow(start, posterior.context)

    def gaussian(self, model: Model) -> bool:
        """Whether q(z|x) is a diagonal Gaussian, so that I(n;z) can be exact.

        Args:
            model: The parameters, or their shapes.
        """
        return model.encoder.gaussian

    def log_posterior(self, model: Model, posterior: Posterior, z: Codes) -> PerImage:
        """log q(z|x).

        Args:
            model: The parameters.
            posterior: Of every image.
            z: Any codes, one for each posterior.

        Returns:
            Nats.
        """
        start = z
        if not self.gaussian(model):
            start = _cast(model.encoder, z.dtype).unflow(z, posterior.context)
        return _log_normal((start - posterior.mean) * jnp.exp(-posterior.log_scale), posterior)

    def standardize(
        self, model: Model, mean: Codes, log_scale: Codes
    ) -> tuple[Codes, Codes] | None:
        """Gaussians in coordinates in which p(z) is a standard normal.

        Args:
            model: The parameters.
            mean: Of the Gaussians.
            log_scale: Logs of their standard deviations.

        Returns:
            Mean and log scale of the same Gaussians; None where there are no such coordinates.
        """
        prior = _prior(model, mean.dtype)
        return prior.standardize(mean, log_scale) if prior.gaussian else None

    def latent_rates(self, model: Model, posterior: Posterior) -> Codes | None:
        """KL(q || p) of every latent.

        Args:
            model: The parameters.
            posterior: Of every image.

        Returns:
            Nats; None where there is no closed form.
        """
        standard = self.standardize(model, posterior.mean, posterior.log_scale)
        if standard is None or not self.gaussian(model):
            return None
        mean, log_scale = standard
        # log_scale is subtracted outside the parentheses. With -2 log_scale inside them, JAX 0.11.1
        # and 0.11.2 on CPUs subtract half of it when runs are mapped over two devices, because of a
        # fault in XLA's compiler.
        return 0.5 * (mean**2 + jnp.expm1(2 * log_scale)) - log_scale

    def rate(self, model: Model, posterior: Posterior, noise: Codes, z: Codes) -> PerImage:
        """KL(q || p) of every posterior.

        Args:
            model: The parameters.
            posterior: Of every image.
            noise: Standard normal numbers.
            z: What `draw` makes of them.

        Returns:
            Nats: in closed form where there is one, otherwise log q(z|x) - log p(z), whose mean
            over noise it is.
        """
        each = self.latent_rates(model, posterior)
        if each is None:
            return _log_normal(noise, posterior) - self.log_prior(model, z)
        return jnp.sum(each, axis=-1)

    def log_prior(self, model: Model, z: Codes) -> PerImage:
        """log p(z).

        Args:
            model: The parameters.
            z: Any codes.

        Returns:
            Nats, in the precision of z.
        """
        return _prior(model, z.dtype).log_density(z)

    def sample_prior(self, model: Model, key: PRNGKeyArray, count: int) -> Codes:
        """Draws from p(z).

        Args:
            model: The parameters.
            key: Of the draws.
            count: How many.

        Returns:
            z, in float32.
        """
        return _prior(model, jnp.float32).sample(key, count)

    def log_likelihood(self, model: Model, x: Images, z: Codes) -> PerImage:
        """log p(x|z).

        Args:
            model: The parameters.
            x: Images.
            z: A code for each.

        Returns:
            Nats.
        """
        x, outputs = self._in_own_units(x, self._outputs(model, x, z))
        if model.likelihood_scale is None:
            return self.likelihood.log_density(x, outputs)
        log_density = self.likelihood.log_density(
            x / model.likelihood_scale, outputs / model.likelihood_scale
        )
        return log_density - self._dimensions * jnp.log(model.likelihood_scale)

    def with_best_likelihood_scale(self, model: Model, error: Array) -> Model:
        """The model with the scale of the gaussian likelihood at which D is least.

        Args:
            model: The parameters.
            error: The mean of `squared_errors` over the images that count, a scalar.
        """
        scale = jnp.maximum(jnp.sqrt(error), jnp.float32(self.least_likelihood_scale))
        return model._replace(likelihood_scale=lax.stop_gradient(scale))

    def squared_errors(self, model: Model, x: Images, z: Codes) -> PerImage:
        """(x - E[x|z])^2 of every image, the mean over its dimensions.

        Args:
            model: The parameters.
            x: Images.
            z: A code for each.

        Returns:
            In squared units of the data.
        """
        x, outputs = self._in_own_units(x, self._outputs(model, x, z))
        return jnp.mean((x - self.likelihood.mean(outputs)) ** 2, axis=-1)

    def likelihood_scale(self, model: Model) -> Any:
        """The standard deviation of the gaussian likelihood, in units of the data.

        Args:
            model: The parameters.

        Returns:
            A scalar; nan of other likelihoods.
        """
        if model.likelihood_scale is not None:
            return model.likelihood_scale
        gaussian = self._settings.likelihood == "gaussian"
        return float(self._settings.likelihood_scale) if gaussian else math.nan

    @property
    def least_likelihood_scale(self) -> float:
        """The smallest scale that is learned, in units of the data.

        Below it, float32 would not keep D exact. It is a number of float32, with which scales can
        be compared.
        """
        spread = 1.0 if self._spread is None else np.sqrt(np.mean(self._spread.astype(float) ** 2))
        return float(np.float32(_LEAST_SCALE * spread))

    def decode(self, model: Model, z: Codes, key: PRNGKeyArray) -> Images:
        """An image for each code.

        Args:
            model: The parameters.
            z: Any codes.
            key: Of the draw, where there is one.

        Returns:
            E[x|z], or a draw where pixels depend on pixels.
        """
        z, linear = model.skip.decode(z)
        if model.decoder.autoregressive:
            units = np.ones(self._dimensions, np.float32) if self._spread is None else self._spread
            if model.likelihood_scale is not None:
                units = units / model.likelihood_scale
            return draw_pixels(
                model.decoder, self.likelihood, z, self._per_dimension(linear), key, units
            )
        return self.likelihood.mean(self._per_dimension(model.decoder(z) + linear))

    def _outputs(self, model: Model, x: Images, z: Codes) -> Array:
        z, linear = model.skip.decode(z)
        outputs = model.decoder(z, x) if model.decoder.autoregressive else model.decoder(z)
        return self._per_dimension(outputs + linear)

    def _in_own_units(self, x: Images, outputs: Array) -> tuple[Images, Array]:
        """Both in the units of the data, in which the likelihood is."""
        if self._spread is None:
            return x, outputs
        return x * self._spread[None], outputs * self._spread[None, :, None]

    def _per_dimension(self, outputs: Outputs) -> Array:
        return outputs.reshape(-1, self._dimensions, self.likelihood.outputs)


def _prior(model: Model, dtype: Any) -> Any:
    """The prior, if need be made of the encoder, in this precision."""
    prior = model.prior
    return _cast(
        prior.given(lambda x: model.skip.encode(model.encoder, x)) if prior.uses_encoder else prior,
        dtype,
    )


def _cast(module: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(dtype), module)


def _log_normal(noise: Array, posterior: Posterior) -> Array:
    """log q(z|x) in nats of the code that this noise makes; flows of encoders change no volume."""
    return -jnp.sum(0.5 * noise**2 + posterior.log_scale + 0.5 * math.log(2 * math.pi), axis=-1)
