"""Libraries, device and variables that a sweep is computed with; they may change last digits."""

import os
import platform
from importlib import metadata
from typing import Any

_PACKAGES = ("ratedistortion", "jax", "jaxlib", "flax", "optax", "numpy")
# Variables of the environment that change numbers.
_VARIABLES = ("JAX_THREEFRY_PARTITIONABLE", "JAX_DEFAULT_PRNG_IMPL")


def surroundings(devices: list[Any]) -> dict[str, Any]:
    """What may change the last digits of numbers: libraries, device and variables.

    Args:
        devices: What is at hand.
    """
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "fast" in flag]
    variables = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
    return {
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in _PACKAGES},
        },
        "device": devices[0].device_kind,
        "variables": variables | ({"XLA_FLAGS": " ".join(flags)} if flags else {}),
    }
