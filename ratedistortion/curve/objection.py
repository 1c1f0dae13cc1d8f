"""Why the slope of a curve must not be used to judge a sweep."""

import pandas

# Share of the training steps that must be made at the final beta, after the warm-up.
_MIN_SHARE_AT_FINAL_BETA = 0.2


def objection(rows: pandas.DataFrame) -> str | None:
    """Why dD/dR = -beta need not hold, however long the sweep is trained.

    Args:
        rows: At least one row of a table, with the settings in `attrs`, where
            `ratedistortion.read` puts them. Without settings and the column `free_bits`, the sweep
            is taken to have neither free bits nor a warm-up. Rows without the column `steps` are
            of other people.

    Returns:
        One sentence for the user; None if dD/dR = -beta must hold at the end of training.
    """
    if "steps" not in rows or bool(rows["steps"].isna().to_numpy().any()):
        return "it is not known how these points were trained, so dD/dR = -beta need not hold."
    settings = rows.attrs.get("ratedistortion", {}).get("settings", {})
    column = rows["free_bits"].tolist() if "free_bits" in rows else []
    if any(bits > 0 for bits in (settings.get("free_bits", 0), *column)):
        return "with free bits the loss is not D + beta R, so dD/dR = -beta does not hold."
    warmup, steps = settings.get("warmup", 0), min(rows["steps"].tolist())
    if warmup and steps - warmup < _MIN_SHARE_AT_FINAL_BETA * steps:
        return (
            f"beta was still rising for {warmup:,} of {steps:,} steps (--warmup), so dD/dR = -beta"
            " need not hold."
        )
    return None
