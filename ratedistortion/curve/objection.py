"""What forbids to judge a sweep by the slope of its curve."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

_LEAST = 0.2  # share of the steps that must be trained at the table's own beta


def objection(rows: "pandas.DataFrame") -> str | None:
    """Why dD/dR = -beta need not hold however long a sweep is trained; None if it must.

    Args:
        rows: Of a table, at least one; the settings are in `attrs`, as `ratedistortion.read` has
            them. A table that lacks them or the column `free_bits` is taken to have neither free
            bits nor a warm-up.
    """
    settings = rows.attrs.get("ratedistortion", {}).get("settings", {})
    column = rows["free_bits"].tolist() if "free_bits" in rows else []
    if any(bits > 0 for bits in (settings.get("free_bits", 0), *column)):
        return "with free bits the loss is not D + beta R, so dD/dR = -beta does not hold."
    warmup, steps = settings.get("warmup", 0), min(rows["steps"].tolist())
    if warmup and steps - warmup < _LEAST * steps:
        return (
            f"beta was still rising for {warmup:,} of {steps:,} steps (--warmup), so dD/dR = -beta"
            " need not hold."
        )
    return None
