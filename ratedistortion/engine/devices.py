"""The devices of this machine, and what they have free."""

import os
from typing import Any

import jax
import psutil

from ratedistortion.errors import SettingsError
from ratedistortion.files import cache_folder
from ratedistortion.settings import Settings


def find_devices(settings: Settings, least: int = 1) -> list[Any]:
    """The devices to sweep on; a CPU counts as one device per core.

    Args:
        settings: Of the sweep.
        least: Devices that a sweep was begun on: fewer cores share them.

    Raises:
        SettingsError: If a GPU is asked for and JAX sees none, or if its own settings leave it no
            device, or forbid it to compile.
    """
    try:
        jax.config.update("jax_num_cpu_devices", max(_cores(), least))
    except RuntimeError:
        pass  # JAX is already running, in somebody's notebook: its devices are as they are.
    _keep_compiled()
    if settings.deterministic and "xla_gpu_deterministic_ops" not in os.environ.get(
        "XLA_FLAGS", ""
    ):
        os.environ["XLA_FLAGS"] = (
            os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
        )
    if jax.config.jax_disable_jit:  # pyright: ignore[reportAttributeAccessIssue]
        raise SettingsError("JAX_DISABLE_JIT: a sweep is one compiled job: unset it.")
    if settings.device == "auto":
        try:
            return jax.local_devices()
        except (RuntimeError, AssertionError) as error:
            raise SettingsError(
                f"JAX_PLATFORMS: JAX finds none of {os.environ.get('JAX_PLATFORMS')!r} here: unset"
                " it to use what there is."
            ) from error
    try:
        return jax.local_devices(backend=settings.device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device: JAX sees no {settings.device}: leave --device out to use what there is"
            " (for NVIDIA GPUs install ratedistortion[cuda])."
        ) from error


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _keep_compiled() -> None:
    """Compiled programs are kept in the user's cache folder, unless JAX was told of another."""
    if not jax.config.values["jax_compilation_cache_dir"]:
        folder = cache_folder() / "compiled"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return  # A home that is read-only costs time, not the sweep.
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def free_memory(devices: list[Any]) -> int:
    """Bytes that a sweep may take: most of every GPU, half of what a computer has free."""
    stats = devices[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(len(devices) * 0.8 * stats["bytes_limit"])
    return psutil.virtual_memory().available // 2


def out_of_memory(error: Exception) -> bool:
    """Whether an exception of JAX's says that a device's memory, or the computer's, is full."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    )
