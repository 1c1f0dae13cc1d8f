"""Compiling takes most of the time here; shapes, dtypes and densities do not need fast code."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def compiled_quickly() -> Iterator[None]:
    """XLA takes less time, to make slower code."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
