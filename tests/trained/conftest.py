"""Small finished sweeps whose models are loaded again."""

from collections.abc import Iterator
from typing import Any

import jax
import pytest
from jax import monitoring
from tiny_engine import settings_of

import ratedistortion as rd


@pytest.fixture(scope="session")
def swept(tmp_path_factory):
    """Three betas and two seeds of the digits, in two chunks."""
    path = tmp_path_factory.mktemp("trained") / "run"
    settings = settings_of(decoder="mlp", seeds=2, runs_at_once=4, save_posteriors=True)
    # The sweep of a fixture, which needs no last digit, is compiled as for `compiled_quickly`.
    jax.config.update("jax_disable_most_optimizations", True)
    rd.sweep(settings, path, progress=False)
    jax.config.update("jax_disable_most_optimizations", False)
    return path


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """What XLA compiles, or finds compiled, while a test runs."""
    names: list[str] = []

    def listen(name: str, duration: float, **_: Any) -> None:
        if name == "/jax/core/compile/backend_compile_duration":
            names.append(name)

    monitoring.register_event_duration_secs_listener(listen)
    yield names
    monitoring.unregister_event_duration_listener(listen)
