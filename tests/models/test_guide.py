"""The guide's prior is put through Python: its code, its test, and a few steps of training."""

import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import models
from ratedistortion.models import interfaces
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.models.families import FAMILIES
from ratedistortion.models.priors import PRIORS
from ratedistortion.settings import Settings

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

GUIDE = Path(models.__file__).with_name("README.md")
TEXT = GUIDE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def laplace(monkeypatch):
    """The prior of the guide, in its file and in its dict."""
    the_class, the_line = BLOCKS[:2]
    name = "ratedistortion.models.laplace"
    module = types.ModuleType(name)
    exec(the_class, vars(module))
    monkeypatch.setitem(sys.modules, name, module)
    before = dict(PRIORS)
    exec(the_line, {"PRIORS": PRIORS})
    yield PRIORS["laplace"](None, Settings(dataset="made", latents=2), (4,))
    PRIORS.clear()
    PRIORS.update(before)


def test_it_meets_the_protocol(laplace):
    assert isinstance(laplace, interfaces.Prior)
    assert FAMILIES["prior"]["laplace"].__doc__


def test_its_own_test_passes(laplace):
    names = {}
    exec(BLOCKS[2], names)
    names["test_laplace_is_scipy_s"]()


def test_its_density_integrates_to_one_and_its_draws_follow_it(laplace):
    """Moments of the draws against sums over a grid, within 4 standard errors."""
    laplace.location[...] = jnp.array([[0.5, -0.3]], jnp.float32)
    laplace.log_scale[...] = jnp.array([[-0.2, 0.1]], jnp.float32)
    axis = np.linspace(-25, 25, 1001)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), laplace)
        density = np.exp(wide.log_density(jnp.asarray(points))) * (axis[1] - axis[0]) ** 2
    assert density.sum() == pytest.approx(1, abs=3e-3)  # the density has a kink: the grid errs
    draws = np.asarray(laplace.sample(jax.random.key(1), 4000))
    for values, truths in ((draws, points), (draws**2, points**2)):
        error = values.std(0) / np.sqrt(len(draws))
        expected = density @ truths / density.sum()
        assert (np.abs(values.mean(0) - expected) < 4 * error + 3e-3).all()


def test_a_model_with_it_is_trained(laplace):
    """Thirty steps of gradient descent on D + R lower it, and move the prior."""
    settings = Settings(dataset="made", prior="laplace", latents=2, hidden=(8,))
    autoencoder = Autoencoder(settings, (6,))
    x = jax.random.bernoulli(jax.random.key(0), 0.3, (50, 6)).astype(jnp.float32)

    def loss(model, key):
        posterior = autoencoder.encode(model, x)
        noise = jax.random.normal(key, posterior.mean.shape, jnp.float32)
        z = autoencoder.draw(model, posterior, noise)
        rate = autoencoder.rate(model, posterior, noise, z)
        return jnp.mean(rate - autoencoder.log_likelihood(model, x, z))

    step = jax.jit(jax.value_and_grad(loss))
    model, losses = jax.jit(autoencoder.build)(jax.random.key(1)), []
    for n in range(30):
        value, gradient = step(model, jax.random.key(n))
        losses.append(float(value))
        model = jax.tree.map(lambda leaf, slope: leaf - 0.1 * slope, model, gradient)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.2
    assert all(np.any(leaf) for leaf in jax.tree.leaves(model.prior))


def test_every_name_in_the_guide_exists():
    """Files, and `interfaces.X`, `likelihoods.X` and classes with the file that holds them."""
    for name in re.findall(r"`(?:ratedistortion/models/)?(\w+\.py)`", TEXT):
        assert name == "laplace.py" or GUIDE.with_name(name).exists(), name
    for name in re.findall(r"`interfaces\.(\w+)", TEXT):
        assert hasattr(interfaces, name), name
    for name, file in re.findall(r"`(\w+)` in\s+`(\w+\.py)`", TEXT):
        assert re.search(
            rf"^(class|def) {name}\b|^{name} = ", GUIDE.with_name(file).read_text(), re.M
        )
