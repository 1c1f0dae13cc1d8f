"""Units of rate and distortion: every number is kept in nats, and shown in what the user asks."""

import math

from ratedistortion.errors import SettingsError

UNITS = ("nats", "bits", "bits-per-dim")
REDUCTIONS = ("sum", "mean")  # what R and D can be over the dimensions of an image
# What a weight can be on. beta: the rate, loss D + beta R; lambda: the distortion, R + lambda D.
CONVENTIONS = ("beta", "lambda")


def per_nat(units: str, dimensions: int) -> float:
    """How many of `units` one nat per image is.

    Args:
        units: `nats`, `bits` (1 nat = 1 / ln 2 bits), or `bits-per-dim` (bits over `dimensions`).
        dimensions: Dimensions of one image, a count of at least 1.

    Returns:
        The factor that turns nats per image into `units`.

    Raises:
        SettingsError: If `units` is none of the three.
    """
    factors = {"nats": 1.0, "bits": 1 / math.log(2), "bits-per-dim": 1 / math.log(2) / dimensions}
    if units not in factors:
        raise SettingsError(f"units must be one of {', '.join(UNITS)}: got {units!r}.")
    return factors[units]


def unit_words(units: str) -> str:
    """The words for a unit, on an axis or in a title.

    Args:
        units: One of `UNITS`.

    Returns:
        `nats per image`, `bits per image` or `bits per dimension`.
    """
    return "bits per dimension" if units == "bits-per-dim" else f"{units} per image"
