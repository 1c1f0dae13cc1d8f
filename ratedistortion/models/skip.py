r"""Linear maps beside the networks, and where they start: the optimum of the linear beta-VAE.

With eigenvectors u_i and eigenvalues l_i of the images' covariance and outputs of noise s^2, the
optimum of D + beta R over linear maps is reverse water-filling at the level beta s^2:
$$r_i = \min(1, \beta s^2 / l_i), \quad \mathbb{E}[z_i|x] = \sqrt{(1 - r_i) / l_i}\, u_i^\top
(x - \bar x), \quad \mathrm{Var}[z_i|x] = r_i, \quad \hat x = \bar x + \sum_i \sqrt{(1 - r_i) l_i}
\, u_i z_i.$$
Where s is learned, it is that of least D: $s^2 = \tfrac1d \sum_i \min(l_i, \beta s^2)$.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from ratedistortion.datasets.principal import Principal
from ratedistortion.errors import SettingsError
from ratedistortion.models.interfaces import Encoder, Posterior
from ratedistortion.models.layers import LOG_SCALES, bounded_log_scale
from ratedistortion.models.likelihoods import LinearOutputs
from ratedistortion.models.shapes import Codes, Images, Outputs

# So many latents stay open whatever beta is: networks may use a latent that a linear model
# would not. On binarised MNIST it makes no difference whether it is 0 or 32.
_ALWAYS_OPEN = 32
_LEAST_BETA = 1e-30  # from which a run with a target rate starts
_REFINEMENTS = 100  # of the level beta s^2 where s is learned; each makes it lower


class Skip(NamedTuple):
    """Linear maps from x to the posterior's mean and from z to the decoder's outputs.

    Attributes:
        centre: What is subtracted from x. It is not trained.
        open: 1, or 0 for a latent that is shut: its posterior is N(0, 1) for every x, unless a
            flow moves it, and the decoder does not see it. It is not trained.
        encoder: From x - centre to the mean.
        log_scale: What is added to the log scale of every posterior.
        decoder: From z to the outputs.
        bias: Of the outputs.
    """

    centre: Float[Array, "1 dimensions"]
    open: Float[Array, "1 latents"]
    encoder: Float[Array, "dimensions latents"]
    log_scale: Float[Array, "1 latents"]
    decoder: Float[Array, "latents outputs"]
    bias: Float[Array, "1 outputs"]

    def encode(self, encoder: Encoder, x: Images) -> Posterior:
        """The posterior of every image, by the linear map and the network together.

        Args:
            encoder: The network.
            x: Images.

        Returns:
            Log scales within `layers.LOG_SCALES`.
        """
        is_open, x = lax.stop_gradient(self.open), x - lax.stop_gradient(self.centre)
        mean, log_scale, context = encoder(x)
        log_scale = bounded_log_scale(log_scale + self.log_scale)
        return Posterior((mean + x @ self.encoder) * is_open, log_scale * is_open, context)

    def decode(self, z: Codes) -> tuple[Codes, Outputs]:
        """What decoders make of codes, but for their network.

        Args:
            z: Codes.

        Returns:
            The codes as the network sees them, 0 in latents that are shut; and the linear part of
            the outputs.
        """
        z = z * lax.stop_gradient(self.open)
        return z, z @ self.decoder + self.bias


def random_skip(key: PRNGKeyArray, dimensions: int, latents: int, outputs: int) -> Skip:
    """Random maps, with every latent open and x not centred.

    Args:
        key: For the maps.
        dimensions: Of an image.
        latents: Dimensions of a code.
        outputs: Real numbers for all dimensions of x together.

    Returns:
        Maps of unit gain.
    """
    keys, draw = jax.random.split(key), jax.nn.initializers.lecun_normal()
    return Skip(
        centre=jnp.zeros((1, dimensions), jnp.float32),
        open=jnp.ones((1, latents), jnp.float32),
        encoder=draw(keys[0], (dimensions, latents), jnp.float32),
        log_scale=jnp.zeros((1, latents), jnp.float32),
        decoder=draw(keys[1], (latents, outputs), jnp.float32),
        bias=jnp.zeros((1, outputs), jnp.float32),
    )


class Level(NamedTuple):
    """An optimum of the linear beta-VAE.

    Attributes:
        level: beta s^2, below which a variance is not described.
        beta: The weight of the rate.
    """

    level: Array
    beta: Array


def optimal_skip(
    principal: Principal, outputs: LinearOutputs, level: Float[Array, ""], latents: int
) -> Skip:
    """The optimum of the linear beta-VAE. Latents that it does not use, but for 32, are shut.

    Args:
        principal: Of the training images.
        outputs: How the likelihood's parameters are linear in a prediction of x.
        level: beta s^2.
        latents: Dimensions of a code; the leading ones are the leading components.

    Returns:
        The maps, in float32. `Run` starts with them.
    """
    missing = latents - principal.variances.shape[0]
    variances = jnp.pad(principal.variances, (0, missing))
    directions = jnp.pad(principal.directions, ((0, 0), (0, missing)))
    # Of the variance that stays unknown. A direction without variance is useless at beta 0 too.
    share = level / jnp.maximum(variances, jnp.finfo(jnp.float32).tiny)
    share = jnp.where(variances > level, share, 1.0)
    known, deviation = jnp.sqrt(1 - share), jnp.sqrt(variances)
    is_open = (share < 1) | (jnp.arange(latents) < _ALWAYS_OPEN)
    # What `bounded_log_scale` takes to the log scale, which it can only approach.
    log_scale = jnp.maximum(0.5 * jnp.log(share), 0.9 * LOG_SCALES[0])
    spread = principal.spread[:, None]
    decoder = (directions / spread * (known * deviation)[None]).T
    return Skip(
        centre=principal.mean[None],
        open=is_open[None].astype(jnp.float32),
        encoder=directions * spread * (known / jnp.where(deviation > 0, deviation, 1.0))[None],
        log_scale=(log_scale / jnp.sqrt(1 - (log_scale / LOG_SCALES[0]) ** 2))[None],
        decoder=(decoder[:, :, None] * outputs.slope[None, None]).reshape(latents, -1),
        bias=outputs.bias.reshape(1, -1),
    )


def level_of_beta(principal: Principal, noise: Any, beta: Float[Array, ""]) -> Level:
    """The optimum at a beta.

    Args:
        principal: Of the training images.
        noise: s^2, the variance of one dimension of x about its prediction; None where it is
            learned, and so is the mean squared error.
        beta: The weight of the rate.
    """
    if noise is not None:
        return Level(beta * noise, beta)
    level = lax.fori_loop(
        0,
        _REFINEMENTS,
        lambda _, level: beta * _unknown(principal, level),
        beta * _unknown(principal, jnp.float32(jnp.inf)),
    )
    return Level(level, beta)


def level_of_rate(principal: Principal, noise: Any, rate: Float[Array, ""]) -> Level:
    """The optimum at a rate.

    R is the largest of (1/2) sum_{i <= k} log(l_i / level) over k, which gives the level at once.
    Where float32 has no such beta, as for images that are all equal, it is very small.

    Args:
        principal: Of the training images.
        noise: As for `level_of_beta`.
        rate: R in nats, at least 0.

    Returns:
        Its beta is above 0.
    """
    tiny = jnp.finfo(jnp.float32).tiny
    logs = jnp.log(jnp.maximum(principal.variances, tiny))
    count = jnp.arange(1, len(logs) + 1, dtype=jnp.float32)
    level = jnp.exp(jnp.max((jnp.cumsum(logs) - 2 * rate) / count))
    noise = _unknown(principal, level) if noise is None else noise
    return Level(level, jnp.maximum(level / noise, _LEAST_BETA))


def check_learned_scale(
    principal: Principal, betas: Sequence[float], rates: Sequence[float]
) -> None:
    """Refuses betas and target rates at which no scale of the likelihood is the best one.

    If r latents describe the images of d dimensions without an error, the least D + beta R at a
    water level is (d - beta r) / 2 times its logarithm, but for a constant: where beta is below
    d / r it falls without end as the level, and with it the scale, goes to 0. Where all r are used
    the slope of the curve is -d / r at every rate, and no beta leads to one of them.

    Args:
        principal: Of the training images, with as many components as there are latents.
        betas: The weights of the rate; not read where there are rates.
        rates: Target rates in nats.

    Raises:
        SettingsError: If a beta is too small, or a rate too large.
    """
    dimensions, used = len(principal.mean), int(np.count_nonzero(principal.variances))
    if principal.rest > 0:
        return
    if used == 0:
        raise SettingsError("likelihood_scale learned needs images that differ: all are equal.")
    if rates:
        logs = np.log(principal.variances[:used].astype(float))
        most = 0.5 * float(np.sum(logs - logs[-1]))
        if max(rates) > most:
            raise SettingsError(
                f"likelihood_scale learned: {used} latents can describe these images of"
                f" {dimensions} dimensions without an error, so that above R = {most:.4g} the curve"
                f" is straight and no beta leads to a rate: got {max(rates):g}; give fewer latents,"
                " or smaller target rates."
            )
    elif min(betas) <= dimensions / used:
        raise SettingsError(
            f"likelihood_scale learned: {used} latents can describe these images of {dimensions}"
            " dimensions without an error, so that D + beta R falls without end as the scale goes"
            f" to 0 where beta is at most {dimensions / used:.4g}: got {min(betas):g}; give fewer"
            " latents, or larger betas."
        )


def _unknown(principal: Principal, level: Array) -> Array:
    """Variance of a dimension about the best linear prediction at a water level."""
    missed = jnp.sum(jnp.minimum(principal.variances, level)) + principal.rest
    return jnp.maximum(missed / len(principal.mean), jnp.finfo(jnp.float32).tiny)
