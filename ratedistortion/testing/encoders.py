"""Does an encoder keep to what it must?"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.models.interfaces import Shape
from ratedistortion.settings import Settings
from ratedistortion.testing.common import (
    IMAGES,
    SHAPE,
    Build,
    check_alone,
    check_build,
    check_computing,
    key_of,
    model_with,
    random_like,
    random_maps,
    require,
    require_close,
    small_settings,
)


def check_encoder(build: Build, settings: Settings | None = None, shape: Shape = SHAPE) -> None:
    """Runs the contract of encoders on one, in seconds.

    It checks shapes and types; that the gradient reaches every parameter; that models which are
    compiled and trained together compute what each does alone; that the posterior of an image
    depends on this image only; and that log q(z|x) of a code is that of its noise, which a flow
    must leave as it is.

    Args:
        build: `build(key, settings, shape)`, or its name such as `net.py:build`.
        settings: What to build it with; None for few latents and narrow layers. The prior that they
            name is tried with it.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.

    Raises:
        AssertionError: With one sentence that says what is wrong.
    """
    settings = small_settings(settings)
    autoencoder = model_with("encoder", build, settings, shape)
    shapes = jax.eval_shape(autoencoder.build, key_of(0))
    model = random_like(shapes, 7)._replace(skip=random_maps(shapes.skip))
    check_build("encoder", lambda key: autoencoder.build(key).encoder)
    outputs = check_rates("encoder", autoencoder, shape)
    x, noise = pixels(shape), noise_of(autoencoder)
    log_q = -0.5 * (np.asarray(noise) ** 2 + math.log(2 * math.pi)).sum(1)
    log_q -= outputs["log_scale"].sum(1)
    sentence = "encoder: unflow does not take codes back to the draws that they were made of: log q"
    require_close(outputs["log_posterior"], log_q, sentence)
    check_alone("encoder: the posterior mean", lambda x: autoencoder.encode(model, x).mean, x)
    if autoencoder.gaussian(model):
        return
    context: Any = autoencoder.encode(model, x).context

    def flow(row: Any) -> Any:
        return model.encoder.flow(row[None], context[:1])[0]

    volume = np.linalg.slogdet(np.asarray(jax.jacfwd(flow)(noise[0]), float))[1]
    require(
        abs(volume) < 1e-4,
        f"encoder: flow must change no volume: its log |Jacobian determinant| is {volume:.3g}.",
    )


def check_rates(what: str, autoencoder: Autoencoder, shape: Shape) -> dict[str, np.ndarray]:
    """Checks the rate, and all else that an encoder and a prior can do.

    Args:
        what: What to call the member.
        autoencoder: The model.
        shape: Of an image or a vector.

    Returns:
        What they compute.
    """
    shapes = jax.eval_shape(autoencoder.build, key_of(0))
    maps, noise = random_maps(shapes.skip), noise_of(autoencoder)

    def compute(trained: dict[str, Any]) -> tuple[jax.Array, dict[str, Any]]:
        model = Model(
            trained["encoder"],
            None,
            trained["prior"],
            maps._replace(log_scale=trained["log_scale"]),
        )
        posterior = autoencoder.encode(model, pixels(shape))
        z = autoencoder.draw(model, posterior, noise)
        outputs = {
            "mean": posterior.mean,
            "log_scale": posterior.log_scale,
            "z": z,
            "log_posterior": autoencoder.log_posterior(model, posterior, z),
            "rate": autoencoder.rate(model, posterior, noise, z),
            "log_prior": autoencoder.log_prior(model, z),
        }
        # With the codes, as a decoder would use them: a shift of all codes may leave the rate.
        return jnp.mean(outputs["rate"] + jnp.sum(z, axis=-1)), outputs

    trained = {"encoder": shapes.encoder, "prior": shapes.prior}
    trained["log_scale"] = shapes.skip.log_scale
    return check_computing(what, compute, trained)


def pixels(shape: Shape) -> jax.Array:
    """A few images of zeros and ones.

    Args:
        shape: Of an image or a vector.
    """
    drawn = jax.random.bernoulli(key_of(1), 0.4, (IMAGES, math.prod(shape)))
    return drawn.astype(jnp.float32)


def noise_of(autoencoder: Autoencoder) -> jax.Array:
    """Standard normal numbers, for a code of each image.

    Args:
        autoencoder: The model.
    """
    return jax.random.normal(key_of(3), (IMAGES, autoencoder.latents), jnp.float32)
