"""What the tests of the engine share."""

from collections.abc import Iterator

import jax
import pytest
from tiny_engine import settings_of

from ratedistortion import datasets
from ratedistortion.datasets import Dataset


@pytest.fixture(scope="session")
def data() -> Dataset:
    return datasets.load(settings_of())


@pytest.fixture
def compiled_quickly() -> Iterator[None]:
    """XLA takes half the time, to make slower code: for tests that need no last digit."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
