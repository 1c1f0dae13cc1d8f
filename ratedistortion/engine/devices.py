"""The devices of this machine, and what they have free."""

import contextlib
import os
from typing import Any

import jax
import psutil

from ratedistortion.errors import SettingsError
from ratedistortion.events import Report, Warned, ignore
from ratedistortion.settings import Settings

# Flag of XLA that makes sums on a GPU the same in every run.
DETERMINISTIC = "--xla_gpu_deterministic_ops"


def find_devices(settings: Settings, report: Report = ignore, least: int = 1) -> list[Any]:
    """The devices to sweep on; a CPU counts as one device per core.

    The number of a CPU's devices can be set only before JAX starts in a process. Where a program
    has started JAX before, the sweep uses the devices that there are.

    Args:
        settings: Of the sweep.
        report: Told if a CPU's cores cannot all be used.
        least: Devices that a sweep was begun on: fewer cores share them.

    Returns:
        JAX's devices of one kind, at least one.

    Raises:
        SettingsError: If a GPU is asked for and JAX sees none, or if JAX's own settings leave it
            no device, forbid it to compile, or allow results that differ from run to run on a GPU.
    """
    cores = max(_cores(), least)
    with contextlib.suppress(RuntimeError):  # JAX has started already
        jax.config.update("jax_num_cpu_devices", cores)
    if jax.config.jax_disable_jit:  # pyright: ignore[reportAttributeAccessIssue]
        raise SettingsError("JAX_DISABLE_JIT: a sweep is one compiled job: unset it.")
    devices = _devices_of(settings.device)
    platform = devices[0].platform
    if platform == "cpu" and len(devices) < cores:
        report(
            Warned(
                f"JAX had started before with {len(devices)} CPU device(s), so not all"
                f" {cores} cores are used: start the sweep before other JAX code, or set"
                f" JAX_NUM_CPU_DEVICES={cores}."
            )
        )
    flags = os.environ.get("XLA_FLAGS", "")
    if settings.deterministic and platform == "gpu" and DETERMINISTIC not in flags:
        raise SettingsError(
            f"deterministic: set XLA_FLAGS={DETERMINISTIC}=true before Python starts, as rd-sweep"
            " does by itself."
        )
    return devices


def _devices_of(name: str) -> list[Any]:
    try:
        return jax.local_devices(backend=None if name == "auto" else name)
    except (RuntimeError, AssertionError) as error:
        reason = (
            f"device: JAX sees no {name}: leave --device out to use what there is"
            " (for NVIDIA GPUs install ratedistortion[cuda])."
        )
        if name == "auto":
            asked = os.environ.get("JAX_PLATFORMS")
            reason = (
                f"JAX_PLATFORMS: JAX finds none of {asked!r} here: unset it to use what there is."
            )
        raise SettingsError(reason) from error


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory(devices: list[Any]) -> int:
    """Bytes that a sweep may take: most of every GPU, half of what a computer has free.

    Args:
        devices: Of one kind, at least one.
    """
    stats = devices[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(len(devices) * 0.8 * stats["bytes_limit"])
    return psutil.virtual_memory().available // 2


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that the memory of a device, or of the computer, is full.

    Args:
        error: Any, of JAX or of Python.
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    )
