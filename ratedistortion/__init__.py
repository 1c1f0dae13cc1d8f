"""Rate-distortion curves of latent-variable models, with numbers that can be believed."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratedistortion.api import dry_run, figure, load, measure, read, sweep
    from ratedistortion.errors import (
        DatasetError,
        Interrupted,
        LockedError,
        OutOfMemoryError,
        RateDistortionError,
        RunDirectoryError,
        SettingsError,
        Stopped,
    )
    from ratedistortion.settings import Settings

__all__ = [
    "DatasetError",
    "Interrupted",
    "LockedError",
    "OutOfMemoryError",
    "RateDistortionError",
    "RunDirectoryError",
    "Settings",
    "SettingsError",
    "Stopped",
    "dry_run",
    "figure",
    "load",
    "measure",
    "read",
    "sweep",
]
__version__ = "0.1.0"
_ROOMS = {
    "dry_run": "api",
    "figure": "api",
    "load": "api",
    "measure": "api",
    "read": "api",
    "sweep": "api",
    "Settings": "settings",
}


def __getattr__(name: str) -> Any:
    """Loads a name when it is first asked for: the commands catch signals before that."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS.get(name, 'errors')}"), name)
