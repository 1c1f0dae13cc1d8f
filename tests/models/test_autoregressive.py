"""Decoders whose pixels depend on the pixels before them: enumerated, and differentiated."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.models.decoders import DECODERS
from ratedistortion.models.draws import draw_pixels
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.settings import Settings
from ratedistortion.testing import check_pixel_by_pixel

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

LATENTS = 2
SHAPE = (2, 2, 1)
PIXELS = math.prod(SHAPE)


def settings_of(decoder: str, likelihood: str = "bernoulli", **values) -> Settings:
    small: dict[str, Any] = {"latents": LATENTS, "hidden": (7, 5)}
    small |= {"channels": (4, 4), "strides": (1, 1), "levels": 3}
    return Settings(dataset="made", decoder=decoder, likelihood=likelihood, **small | values)


def key_of(number: int) -> jax.Array:
    return jax.random.key(number, impl="threefry2x32")


def decoder_of(name: str, shape=SHAPE, outputs: int = 1):
    """A decoder whose parameters are three times those of the start: far from uniform pixels."""
    module = DECODERS[name](key_of(0), settings_of(name), shape, outputs)
    return jax.tree.map(lambda leaf: 3 * leaf, module)


def random_model(autoencoder: Autoencoder, seed: int) -> Model:
    """Parameters far from those of the start, which would take longer to compile."""
    random, shapes = np.random.default_rng(seed), jax.eval_shape(autoencoder.build, key_of(0))
    return jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape), jnp.float32), shapes)


AUTOREGRESSIVE = ["made", "pixelcnn"]


def test_every_decoder_says_whether_it_is_autoregressive():
    for name in DECODERS:
        shapes = jax.eval_shape(lambda name=name: decoder_of(name))
        assert shapes.autoregressive == (name in AUTOREGRESSIVE)


@pytest.mark.parametrize("likelihood", [n for n in LIKELIHOODS if n != "gaussian"])
@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_the_probabilities_of_all_images_sum_to_one(name, likelihood):
    levels = 2 if likelihood == "bernoulli" else 3
    autoencoder = Autoencoder(settings_of(name, likelihood), SHAPE)
    model = random_model(autoencoder, 1)
    images = np.array(list(itertools.product(range(levels), repeat=PIXELS))) / (levels - 1)
    x = jnp.asarray(images, jnp.float32)
    log_p = jax.jit(autoencoder.log_likelihood)
    for z in np.random.default_rng(0).normal(size=(3, LATENTS)).astype(np.float32):
        probabilities = np.exp(np.asarray(log_p(model, x, jnp.tile(z, (len(x), 1)))))
        assert probabilities.sum() == pytest.approx(1, abs=2e-6)
        assert probabilities.max() > 1.5 / len(x)  # not the uniform distribution


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_draws_follow_the_probabilities(name):
    """Chi-square over the 16 images; a p-value below 1e-4 would be a 4-sigma event."""
    autoencoder = Autoencoder(settings_of(name), SHAPE)
    model = random_model(autoencoder, 1)
    model = model._replace(skip=jax.tree.map(lambda leaf: leaf / 4, model.skip))
    count = 4000
    z = jnp.full((count, LATENTS), 0.7, jnp.float32)
    draws = np.asarray(jax.jit(autoencoder.decode)(model, z, key_of(3)))
    assert set(np.unique(draws)) <= {0, 1}
    images = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=PIXELS)), jnp.float32)
    expected = count * np.exp(
        np.asarray(jax.jit(autoencoder.log_likelihood)(model, images, z[:16]))
    )
    place = (draws @ 2 ** np.arange(PIXELS)[::-1]).astype(int)
    found = np.bincount(place, minlength=16)
    common = expected >= 5  # the rest as one cell
    found, expected = (
        np.append(counts[common], counts[~common].sum()) for counts in (found, expected)
    )
    assert common.sum() > 5
    found, expected = found[expected > 0], expected[expected > 0]
    statistic = np.sum((found - expected) ** 2 / expected)
    assert stats.chi2(len(found) - 1).sf(statistic) > 1e-4


IMAGES = [(name, *image) for name in AUTOREGRESSIVE for image in (((2, 3, 1), 1), ((2, 2, 3), 2))]


@pytest.mark.parametrize("name, shape, outputs", [*IMAGES, ("made", (5,), 3)])
def test_the_parameters_of_a_pixel_see_all_pixels_before_it(name, shape, outputs):
    module, dimensions = decoder_of(name, shape, outputs), math.prod(shape)
    z = jax.random.normal(key_of(4), (1, LATENTS), jnp.float32)
    x = jax.random.uniform(key_of(5), (1, dimensions), jnp.float32)

    def parameters(z, x):
        return module(z, x).reshape(dimensions, outputs)

    by_z, by_x = jax.jit(jax.jacobian(parameters, (0, 1)))(z, x)
    by_z, by_x = np.abs(by_z)[:, :, 0], np.abs(by_x)[:, :, 0].max(1)
    assert (by_x[np.tril_indices(dimensions, -1)] > 0).all()
    assert (by_z > 0).all()


def test_made_without_hidden_layers_is_a_logistic_regression_on_the_pixels_before():
    module = DECODERS["made"](key_of(0), settings_of("made", hidden=()), (4,), 1)
    z = jnp.zeros((2, LATENTS), jnp.float32)
    a, b = jax.random.normal(key_of(1), (2, 2, 4), jnp.float32)
    sums = module(z, a) + module(z, b), module(z, a + b) + module(z, 0 * a)
    np.testing.assert_allclose(*sums, atol=1e-5)


@pytest.mark.parametrize(
    "hidden, shape, outputs",
    [
        ((), (2, 2, 3), 2),
        ((3,), (2, 2, 3), 2),
        ((20, 9), (2, 2, 3), 2),
        ((), (1,), 1),
        ((7, 5), (1,), 1),
        ((7, 5), (5,), 3),
    ],
)
def test_made_pixel_by_pixel_is_made_at_once(hidden, shape, outputs):
    """With fewer units than pixels, and more; what comes after a pixel is not looked at."""
    dimensions = math.prod(shape)
    module = DECODERS["made"](key_of(0), settings_of("made", hidden=hidden), shape, outputs)
    module = jax.tree.map(lambda leaf: 3 * leaf, module)
    z = jax.random.normal(key_of(1), (3, LATENTS), jnp.float32)
    x = jax.random.normal(key_of(2), (3, dimensions), jnp.float32)
    check_pixel_by_pixel(module, z, x)


@pytest.mark.parametrize("shape", [(9, 3, 1), (7, 2, 3), (2, 3, 1)])
def test_pixelcnn_pixel_by_pixel_is_pixelcnn_at_once(shape):
    """Images that are higher than what a pixel can see, and lower."""
    module, dimensions = decoder_of("pixelcnn", shape, 2), math.prod(shape)
    z = jax.random.normal(key_of(1), (2, LATENTS), jnp.float32)
    x = jax.random.uniform(key_of(2), (2, dimensions), jnp.float32)
    check_pixel_by_pixel(module, z, x)


def test_draws_of_made_do_not_depend_on_how_they_are_computed():
    """The same key, once with its own `one` and once with the whole decoder at every pixel."""
    likelihood = LIKELIHOODS["bernoulli"](settings_of("made"))
    module = decoder_of("made", (3, 4, 1))

    class Whole:
        autoregressive = True

        def __call__(self, z, x):
            return module(z, x)

        def cache(self, z):
            return z

        def one(self, i, x, z):
            return module(z, x)[:, i, None], z

    z = jax.random.normal(key_of(1), (50, LATENTS), jnp.float32)
    linear, units = jnp.zeros((50, 12, 1), jnp.float32), np.ones(12, np.float32)
    own, whole = (
        np.asarray(draw_pixels(decoder, likelihood, z, linear, key_of(2), units))
        for decoder in (module, Whole())
    )
    assert 0.2 < own.mean() < 0.8
    np.testing.assert_array_equal(own, whole)
