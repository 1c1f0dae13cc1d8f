"""Compiled programs are native code: the cache is the user's alone, and mends itself."""

import os
import stat
import sys
import warnings

import pytest
from commands import run

from ratedistortion.cli.process import set_up_process

CACHE = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where compiled programs will be kept; there is no folder yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in (CACHE, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    with warnings.catch_warnings():
        yield tmp_path / "ratedistortion" / "compiled"


def test_a_cache_is_private(cache):
    set_up_process(deterministic=False)
    assert os.environ[CACHE] == str(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_cache_that_others_may_write_is_not_used(cache, mode):
    cache.mkdir(parents=True)
    cache.chmod(mode)
    set_up_process(deterministic=False)
    assert CACHE not in os.environ


def test_a_cache_of_somebody_else_is_not_used(cache, monkeypatch):
    cache.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: cache.stat().st_uid + 1)
    set_up_process(deterministic=False)
    assert CACHE not in os.environ


def test_a_cache_of_the_users_choice_is_used_as_it_is(cache, monkeypatch):
    monkeypatch.setenv(CACHE, "anywhere")
    set_up_process(deterministic=False)
    assert os.environ[CACHE] == "anywhere"


@pytest.mark.slow
def test_compiled_programs_that_were_cut_off_are_made_again_without_a_warning(cache):
    environment = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    environment |= {"XDG_CACHE_HOME": str(cache.parent.parent)}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    program = """
from ratedistortion.cli.process import set_up_process
set_up_process(deterministic=False)
import jax
for size in 2, 3:
    jax.jit(jax.numpy.linalg.cholesky)(jax.numpy.eye(size))
"""

    def compiled():
        result = run(sys.executable, "-c", program, environment=environment)
        assert (result.returncode, result.stderr) == (0, "")
        return {path.name: path.stat().st_size for path in cache.glob("*-cache")}

    sizes = compiled()
    assert len(sizes) > 1
    for name, size in sizes.items():
        os.truncate(cache / name, size // 2)
    again = compiled()
    assert again.keys() == sizes.keys()
    assert all(again[name] > 0.9 * size for name, size in sizes.items())
