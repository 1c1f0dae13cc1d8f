"""Likelihoods of grey levels against SciPy, in sums over all levels, and in draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import ratedistortion as rd
from ratedistortion.datasets import load
from ratedistortion.errors import DatasetError
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.settings import LEVELLED, Settings
from ratedistortion.testing import check_likelihood

LEVELS = 9


def likelihood_of(name: str, levels: int = LEVELS):
    return LIKELIHOODS[name](Settings(dataset="made", levels=levels))


def parameters_of(name: str, count: int) -> np.ndarray:
    outputs = likelihood_of(name).outputs
    return np.random.default_rng(0).normal(size=(count, outputs)).astype(np.float32) * 2


def key_of(number: int) -> jax.Array:
    return jax.random.key(number, impl="threefry2x32")


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_contract_of_every_likelihood(name):
    settings = Settings(dataset="made", levels=LEVELS, likelihood_scale=0.7)
    values = {"bernoulli": np.arange(2), "gaussian": None}
    values = values.get(name, np.linspace(0, 1, LEVELS))
    # The mean of a wide logistic distribution, cut off at both ends, is not its centre.
    exact_mean = name != "discretized-logistic"
    check_likelihood(LIKELIHOODS[name], settings, values, exact_mean)


def test_categorical_is_scipy_s():
    logits = parameters_of("categorical", 6)
    level = np.array([0, 1, 2, 6, 7, 8])
    expected = special.log_softmax(logits.astype(float), -1)[np.arange(6), level]
    measured = likelihood_of("categorical").log_density(
        jnp.asarray(level[:, None] / (LEVELS - 1), jnp.float32), jnp.asarray(logits)[:, None]
    )
    np.testing.assert_allclose(measured, expected, rtol=1e-5)


@pytest.mark.parametrize("raw", [(0, 0), (0.3, -2), (-0.6, 1), (0.5, -5), (4.0, 3)])
def test_discretized_logistic_is_the_difference_of_scipy_s(raw):
    """256 levels; in float64, where the difference of two numbers near 1 keeps some digits."""
    level = np.arange(256)
    centre, scale = raw[0] + 0.5, np.exp(max(raw[1] - 2, -7))
    ends = (level[:, None] + [-0.5, 0.5]) / 255
    ends[0, 0], ends[-1, 1] = -np.inf, np.inf
    law = stats.logistic(centre, scale)
    below, above = np.diff(law.cdf(ends))[:, 0], -np.diff(law.sf(ends))[:, 0]
    expected = np.log(np.maximum(np.where(ends[:, 0] > centre, above, below), 1e-300))
    measured = likelihood_of("discretized-logistic", 256).log_density(
        jnp.asarray(level[:, None] / 255, jnp.float32),
        jnp.broadcast_to(jnp.array(raw, jnp.float32), (256, 1, 2)),
    )
    kept = expected > -600  # where the truth has not underflowed
    assert kept.sum() > 40
    np.testing.assert_allclose(measured[kept], expected[kept], rtol=2e-4, atol=2e-4)


def test_far_tails_and_sharp_scales_have_finite_gradients():
    likelihood = likelihood_of("discretized-logistic", 256)
    raw = jnp.array([[[50.0, -30.0]], [[-50.0, 0.0]], [[0.0, 30.0]], [[0.5, -9.0]]], jnp.float32)
    x = jnp.array([[0.0], [1.0], [0.5], [1.0]], jnp.float32)
    value, gradient = jax.value_and_grad(lambda p: likelihood.log_density(x, p).sum())(raw)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def write_colour(path, shape=(4, 4, 3), count=80):
    """Blocks of one random colour an image, with a little noise: few bits in each value."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 1, 1, 3)) + random.integers(-3, 4, (count, *shape))
    images = np.clip(images, 0, 255).astype(np.uint8)
    np.savez(path, train=images[: count // 2], test=images[count // 2 :])
    return path


def test_grey_levels_are_made_fewer(tmp_path):
    path = str(write_colour(tmp_path / "colour.npz"))
    common = {"likelihood": "categorical", "batch_size": 10}
    whole = load(Settings(dataset=path, **common))
    few = load(Settings(dataset=path, levels=4, **common))
    assert few.scale == 1 / 3 and whole.scale == 1 / 255 and few.train.dtype == np.uint8
    np.testing.assert_array_equal(few.train, whole.train // 64)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"dataset": "digits"}, "digits has 17 grey levels: got levels 256; use --levels 17"),
        ({"dataset": "gaussian:4,1"}, "needs 8-bit values: got float32; use --likelihood gaussian"),
        (
            {"dataset": "digits", "binarize": "dynamic"},
            "dynamic is not for likelihoods of grey levels",
        ),
    ],
)
@pytest.mark.parametrize("likelihood", LEVELLED)
def test_data_without_these_levels_are_refused(likelihood, values, message):
    with pytest.raises(DatasetError, match=message):
        load(Settings(likelihood=likelihood, **values))


@pytest.mark.slow
def test_colour_images_through_convolutions(tmp_path):
    """Far below the 8 bits a value of a uniform distribution; the noise alone is 2.8 bits."""
    path = str(write_colour(tmp_path / "colour.npz", count=200))
    frame = rd.sweep(
        rd.Settings(
            dataset=path,
            likelihood="discretized-logistic",
            encoder="conv",
            decoder="deconv",
            channels=(8,),
            strides=(2,),
            latents=4,
            betas=(0.5,),
            steps=150,
            batch_size=50,
            learning_rate=0.02,
            codes=64,
        ),
        tmp_path / "run",
    )
    bits = frame["negative_elbo"] / 48 / np.log(2)
    assert (frame["dimensions"] == 48).all() and frame["distortion"].gt(0).all()
    assert bits.between(2.5, 7).all()
    figure = rd.figure(frame, units="bits-per-dim")
    assert "bits per dimension" in figure.axes[0].get_ylabel()
    assert np.load(tmp_path / "run" / "images.npz")["samples"].shape == (1, 10, 4, 4, 3)


@pytest.mark.parametrize("dimensions", [1, 15, 16, 17, 784])
def test_bernoulli_is_scipy_s(dimensions):
    """Against float64 in logarithms of single terms; its slope against x - sigmoid(logit)."""
    random = np.random.default_rng(dimensions)
    logits = random.normal(size=(50, dimensions)).astype(np.float32) * 5
    logits[0] = np.resize(np.float32([200.0, -200.0, 0.0]), dimensions)
    x = random.integers(0, 2, (50, dimensions)).astype(np.float32)
    likelihood = likelihood_of("bernoulli")
    found, slope = jax.vmap(jax.value_and_grad(
        lambda one, x: likelihood.log_density(x[None], one[None])[0]
    ))(jnp.asarray(logits)[..., None], jnp.asarray(x))  # fmt: skip
    wide = logits.astype(float)
    expected = x * special.log_expit(wide) + (1 - x) * special.log_expit(-wide)
    np.testing.assert_allclose(found, expected.sum(-1), rtol=2e-6, atol=1e-6 * dimensions)
    np.testing.assert_allclose(slope[..., 0], x - special.expit(wide), atol=1e-6)
    mean = likelihood.mean(jnp.asarray(logits)[..., None])
    np.testing.assert_allclose(mean, special.expit(wide), rtol=1e-5, atol=1e-30)
