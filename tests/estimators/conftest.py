"""Mixtures of posteriors that the tests of several estimators use."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
import pytest


class OneLatent(NamedTuple):
    """Posteriors of one latent, 1,600 that are copies of a few, and truths in nats per image.

    The truths are by quadrature; copies do not change them. `matched` is the KL from the Gaussian
    with the moments of q(z) to the prior.
    """

    mean: np.ndarray
    scale: np.ndarray
    information: float
    rate: float
    marginal_kl: float
    matched: float


# Means, common scale; the truths.
MIXTURES = {
    "two, scale 1": ((-1.0, 1.0), 1.0, 0.336831, 0.500000, 0.163169, 0.153426),
    "two, scale .5": ((-1.0, 1.0), 0.5, 0.632720, 0.818147, 0.185427, 0.013428),
    "four": ((-1.5, -0.5, 0.5, 1.5), 0.5, 0.845233, 0.943147, 0.097914, 0.047267),
    "sixteen": (tuple(np.linspace(-2, 2, 16)), 0.2, 1.719509, 1.884993, 0.165484, 0.056070),
}


@pytest.fixture(params=MIXTURES.values(), ids=MIXTURES, scope="session")
def one_latent(request: pytest.FixtureRequest) -> OneLatent:
    means, scale, *truths = request.param
    mean = np.resize(np.array(means), (1600, 1))
    return OneLatent(mean, np.full(mean.shape, scale), *truths)


@pytest.fixture(scope="module")
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def scales_of() -> Callable[..., np.ndarray]:
    return _scales_of


@pytest.fixture(scope="session")
def random_posteriors() -> Callable[..., tuple[np.random.Generator, np.ndarray, np.ndarray]]:
    """A function: shape, ... -> a generator of more random numbers, means and scales."""
    return _random_posteriors


def _scales_of(kind: str, random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    if kind == "sharp and wide":  # in one mixture
        return np.where(random.random((shape[0], 1)) < 0.5, 1e-4, 10.0) * np.ones(shape)
    if kind == "any":
        return 10 ** random.uniform(-4, 1, shape)
    return np.full(shape, float(kind))


def _random_posteriors(
    shape: tuple[int, int], kind: str, spread: float, offset: float, copies: str, seed: int
) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    mean = offset + spread * random.normal(size=shape)
    scale = _scales_of(kind, random, mean.shape)
    if copies != "none":  # pairs of images whose posteriors overlap, however sharp they are
        pairs = slice(0, shape[0] // 2 * 2, 2)
        apart = 0.0 if copies == "equal" else random.uniform(1, 4) / math.sqrt(shape[1])
        scale[1::2] = scale[pairs]
        mean[1::2] = mean[pairs] + apart * scale[pairs]
    return random, mean, scale
