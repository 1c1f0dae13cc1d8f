"""The guide's prior is put through Python: its file, its tests, and a few steps of training."""

import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import models
from ratedistortion.models import interfaces
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.settings import Settings

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

GUIDE = Path(models.__file__).with_name("README.md")
TEXT = GUIDE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def laplace(tmp_path, monkeypatch):
    """Settings with the prior of the guide, whose file is in the working directory."""
    (tmp_path / "laplace.py").write_text(BLOCKS[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    settings = Settings(dataset="made", prior="laplace.py:build", latents=2, hidden=(8,))
    yield settings
    for name in ("laplace", settings.prior.replace(":build@", "@")):
        sys.modules.pop(name, None)


def test_its_own_tests_pass(laplace):
    names = {}
    exec(BLOCKS[1], names)
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        names[name]()


def test_a_model_with_it_is_trained(laplace):
    """Thirty steps of gradient descent on D + R lower it, and move the prior."""
    autoencoder = Autoencoder(laplace, (6,))
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
    assert isinstance(model.prior, interfaces.Prior)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(model.prior))


def test_every_name_in_the_guide_exists():
    """Files, and `interfaces.X`, `likelihoods.X` and classes with the file that holds them."""
    for name in re.findall(r"`(?:ratedistortion/models/)?(\w+\.py)`", TEXT):
        assert GUIDE.with_name(name).exists(), name
    for name in re.findall(r"`interfaces\.(\w+)", TEXT):
        assert hasattr(interfaces, name), name
    for name, file in re.findall(r"`(\w+)` in\s+`(\w+\.py)`", TEXT):
        assert re.search(
            rf"^(class|def) {name}\b|^{name} = ", GUIDE.with_name(file).read_text(), re.M
        )
