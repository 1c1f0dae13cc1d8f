"""Strictness for every test: shapes and dtypes checked, warnings are errors, no network."""

import atexit
import gc
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator

import pytest
from jaxtyping import install_import_hook

os.environ["JAX_NUM_CPU_DEVICES"] = "2"
os.environ["JAX_PLATFORMS"] = "cpu"

# Programs that one test compiles serve the others, in this and in other processes; the user's cache
# is left alone. Workers of pytest-xdist inherit the folder.
if "RATEDISTORTION_TEST_CACHE" not in os.environ:
    folder = tempfile.mkdtemp(prefix="ratedistortion-tests-")
    os.environ["RATEDISTORTION_TEST_CACHE"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
os.environ["XDG_CACHE_HOME"] = os.environ["RATEDISTORTION_TEST_CACHE"]
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["RATEDISTORTION_TEST_CACHE"] + "/compiled"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

# A job in the background of a script inherits signals that are ignored; the tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)

# What JAX keeps of a thousand programs makes a search for garbage long: the default is too often.
gc.set_threshold(100_000)

install_import_hook("ratedistortion", "beartype.beartype")

import jax  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True)
def same_floats_afterwards() -> Iterator[None]:
    """float64 is asked for where it is needed, and given back."""
    before = jax.config.values["jax_enable_x64"]
    yield
    assert jax.config.values["jax_enable_x64"] == before


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a test tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def compiled_quickly() -> Iterator[None]:
    """XLA takes half the time, to make slower code: for tests that need no last digit."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
