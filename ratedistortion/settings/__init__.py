"""What a sweep is asked to do: the same from Python, TOML and the shell."""

from ratedistortion.settings.config import differences, from_mapping, read_config
from ratedistortion.settings.fields import MAX_COUNT
from ratedistortion.settings.settings import (
    BATCHING,
    ENGINE_FIELDS,
    LEVELLED,
    Settings,
    values_sha256,
)

__all__ = [
    "BATCHING",
    "ENGINE_FIELDS",
    "LEVELLED",
    "MAX_COUNT",
    "Settings",
    "differences",
    "from_mapping",
    "read_config",
    "values_sha256",
]
