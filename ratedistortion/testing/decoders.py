"""Does a decoder keep to what it must?"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.models.autoencoder import Model
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
from ratedistortion.testing.encoders import noise_of, pixels


def check_decoder(build: Build, settings: Settings | None = None, shape: Shape = SHAPE) -> None:
    """Runs the contract of decoders on one, in seconds.

    It checks shapes and types; that the gradient reaches every parameter; that models which are
    compiled and trained together compute what each does alone; that outputs for a code depend
    on this code only; and of an autoregressive decoder that no dimension sees itself or a later
    one, and that `one` gives what the whole decoder gives.

    Args:
        build: `build(key, settings, shape, outputs)`, or its name such as `net.py:build`.
        settings: What to build it with; None for few latents and narrow layers. The likelihood that
            they name is tried with it.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.

    Raises:
        AssertionError: With one sentence that says what is wrong.
    """
    settings = small_settings(settings)
    autoencoder = model_with("decoder", build, settings, shape)
    shapes = jax.eval_shape(autoencoder.build, key_of(0))
    maps, x, z = random_maps(shapes.skip), pixels(shape), noise_of(autoencoder)
    check_build("decoder", lambda key: autoencoder.build(key).decoder)

    def compute(trained: Any) -> tuple[jax.Array, dict[str, Any]]:
        model = Model(None, trained["decoder"], None, maps._replace(bias=trained["bias"]))
        outputs = {
            "log_likelihood": autoencoder.log_likelihood(model, x, z),
            "decoded": autoencoder.decode(model, z, key_of(5)),
        }
        return -jnp.mean(outputs["log_likelihood"]), outputs

    trained = {"decoder": shapes.decoder, "bias": shapes.skip.bias}
    decoded = check_computing("decoder", compute, trained)["decoded"]
    expected = IMAGES, math.prod(shape)
    require(decoded.shape == expected, f"decoder: {expected} expected: got {decoded.shape}.")
    decoder = random_like(shapes.decoder, 7)
    if decoder.autoregressive:
        check_pixel_by_pixel(decoder, z, x)
        check_alone("decoder: outputs", decoder, z, x)
    else:
        check_alone("decoder: outputs", decoder, z)


def check_pixel_by_pixel(decoder: Any, z: jax.Array, x: jax.Array) -> None:
    """Checks that an autoregressive decoder sees no later dimension, and that `one` agrees with it.

    Args:
        decoder: With parameters that are not those of the start.
        z: Codes.
        x: Flat images, one for each code.

    Raises:
        AssertionError: With one sentence that says what is wrong.
    """
    dimensions = x.shape[1]

    def parameters(x: Any) -> Any:
        return decoder(z[:1], x[None]).reshape(dimensions, -1)

    slopes = np.abs(np.asarray(jax.jit(jax.jacobian(parameters))(x[0]))).max(1)
    for own, seen in np.argwhere(np.triu(slopes) > 0):
        raise AssertionError(
            f"decoder: the outputs of dimension {own} depend on dimension {seen}: they may depend"
            " on those before it only."
        )
    one, cache, found = jax.jit(decoder.one), jax.jit(decoder.cache)(z), []
    for i in range(dimensions):
        outputs, cache = one(jnp.int32(i), x, cache)
        found.append(outputs)
    expected = jax.jit(decoder.__call__)(z, x).reshape(len(x), dimensions, -1)
    sentence = (
        "decoder: its method one gives other outputs than the call for all dimensions at once"
    )
    require_close(np.stack(found, 1), expected, sentence, atol=1e-5)
