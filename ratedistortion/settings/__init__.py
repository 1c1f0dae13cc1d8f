"""What a sweep is asked to do: the same from Python, TOML and the shell."""

from ratedistortion.settings.config import (
    differences,
    extended,
    from_mapping,
    in_todays_terms,
    read_config,
)
from ratedistortion.settings.settings import (
    BATCHING,
    LEVELLED,
    MEASURING_FIELDS,
    Settings,
    values_sha256,
)

__all__ = [
    "BATCHING",
    "LEVELLED",
    "MEASURING_FIELDS",
    "Settings",
    "differences",
    "extended",
    "from_mapping",
    "in_todays_terms",
    "read_config",
    "values_sha256",
]
