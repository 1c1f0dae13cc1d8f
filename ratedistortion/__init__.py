"""Rate-distortion curves of latent-variable models, with numbers that can be believed."""

from ratedistortion.api import figure, read, sweep
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
    "figure",
    "read",
    "sweep",
]
__version__ = "0.1.0"
