"""What a sweep is asked to do: the same from Python, TOML and the shell."""

from ratedistortion.settings.settings import (
    BATCHING,
    BINARIZE,
    DEVICES,
    ENGINE_FIELDS,
    LEVELLED,
    MOST,
    PRECISIONS,
    SELECT,
    Settings,
    differences,
    from_mapping,
    read_config,
    values_sha256,
)

__all__ = [
    "BATCHING",
    "BINARIZE",
    "DEVICES",
    "ENGINE_FIELDS",
    "LEVELLED",
    "MOST",
    "PRECISIONS",
    "SELECT",
    "Settings",
    "differences",
    "from_mapping",
    "read_config",
    "values_sha256",
]
