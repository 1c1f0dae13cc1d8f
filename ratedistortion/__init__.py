"""Rate-distortion curves of latent-variable models, with numbers that can be believed."""

from ratedistortion.api import figure, read, sweep
from ratedistortion.settings import Settings

__all__ = ["Settings", "figure", "read", "sweep"]
__version__ = "0.1.0"
