"""Does a prior keep to what it must?"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.models.interfaces import Shape
from ratedistortion.settings import Settings
from ratedistortion.testing.common import (
    SHAPE,
    Build,
    check_build,
    key_of,
    model_with,
    random_like,
    random_maps,
    require,
    require_close,
    small_settings,
)
from ratedistortion.testing.encoders import check_rates

_DRAWS = 4000
_SIGMAS = 4
# The densities are summed at z = 3 sinh(u): close together near 0, and up to 4,000 in the tails.
_GRID = np.linspace(-7.9, 7.9, 401)


def check_prior(
    build: Build,
    settings: Settings | None = None,
    shape: Shape = SHAPE,
    tolerance: float = 1e-3,
) -> None:
    """Runs the contract of priors on one, in seconds.

    It checks shapes and types; that the gradient reaches every parameter; that models which are
    compiled and trained together compute what each does alone; in two latents and float64, that
    the density of a code does not depend on the others, that it integrates to one, and that draws
    follow it within 4 standard errors; and of a Gaussian prior that `standardize` agrees with it.

    Args:
        build: `build(key, settings, shape)`, or its name such as `net.py:build`.
        settings: What to build it with; None for few latents and narrow layers. The encoder that
            they name is tried with it.
        shape: (height, width, channels) of an image, or (dimensions,) of a vector.
        tolerance: By which the integral may differ from 1.

    Raises:
        AssertionError: With one sentence that says what is wrong.
    """
    settings = small_settings(settings)
    autoencoder = model_with("prior", build, settings, shape)
    check_build("prior", lambda key: autoencoder.build(key).prior)
    check_rates("prior", autoencoder, shape)
    plane = dataclasses.replace(settings, latents=2)
    autoencoder = model_with("prior", build, plane, shape)
    shapes = jax.eval_shape(autoencoder.build, key_of(0))
    model = jax.tree.map(lambda leaf: leaf / 2, random_like(shapes, 6))
    model = model._replace(skip=random_maps(shapes.skip))
    _check_density(autoencoder, model, tolerance)


def _check_density(autoencoder: Autoencoder, model: Model, tolerance: float) -> None:
    places, widths = 3 * np.sinh(_GRID), 3 * np.cosh(_GRID) * (_GRID[1] - _GRID[0])
    points = np.stack(np.meshgrid(places, places), -1).reshape(-1, 2)
    with jax.enable_x64(True):
        log_density = np.asarray(jax.jit(autoencoder.log_prior)(model, jnp.asarray(points)))
        few = jnp.asarray(points[:: len(points) // 50])
        pair = autoencoder.standardize(model, few, jnp.zeros_like(few))
        own, alone = (autoencoder.log_prior(model, codes) for codes in (few, few[:1]))
        require_close(alone, own[:1], "prior: the density of a code beside other codes", 1e-9)
        if pair is not None:
            log_normal = -0.5 * (pair[0] ** 2 + math.log(2 * math.pi)) + pair[1]
            sentence = "prior: standardize does not agree"
            require_close(own, np.sum(log_normal, 1), f"{sentence} with log_density", 1e-9)
    weights = np.exp(log_density) * np.outer(widths, widths).ravel()
    total = weights.sum()
    require_close(total, 1, "prior: the integral of its density in two latents", 0.0, tolerance)
    sample = jax.jit(autoencoder.sample_prior, static_argnums=2)
    draws = sample(model, key_of(9), _DRAWS)
    other = np.asarray(sample(model, key_of(10), _DRAWS))
    require(not np.array_equal(draws, other), "prior: sample gives the same draws for two keys.")
    drawn, known = (
        {"log density": density, **_features(z)}
        for density, z in (
            (np.asarray(jax.jit(autoencoder.log_prior)(model, draws)), np.asarray(draws)),
            (log_density, points),
        )
    )
    for name, values in drawn.items():
        truth = weights @ np.where(weights > 0, known[name], 0) / total
        error = values.std() / math.sqrt(_DRAWS)
        require(
            abs(values.mean() - truth) < _SIGMAS * error + tolerance,
            f"prior: draws do not follow its density: the mean of {name} is {values.mean():.4g} ±"
            f" {error:.2g} over draws, and {truth:.4g} by the density.",
        )


def _features(z: Any) -> dict[str, np.ndarray]:
    """Bounded functions of codes: their means exist under any density."""
    one, two = np.tanh(z).T
    return {
        "tanh(z1)": one,
        "tanh(z2)": two,
        "tanh(z1)^2": one**2,
        "tanh(z2)^2": two**2,
        "tanh(z1) tanh(z2)": one * two,
    }
