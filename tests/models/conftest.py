"""Compiling takes most of the time here; shapes, dtypes and densities do not need fast code."""

import functools
from collections.abc import Callable

import jax
import pytest


@pytest.fixture(scope="session")
def quick_jit() -> Callable[..., Callable]:
    """`jax.jit` that compiles in less time, to slower code."""
    return functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
