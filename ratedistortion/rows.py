"""What was measured, as rows of the table."""

import math
from collections.abc import Sequence
from typing import Any

from ratedistortion.engine import Engine, Measured
from ratedistortion.outcomes import Outcome
from ratedistortion.plan import RunId


def row_names(runs: Sequence[RunId]) -> list[tuple[float, int, str]]:
    """What tells the rows of a table apart, in their order: target rate or beta, seed, split."""
    points = [run.beta if run.target_rate is None else run.target_rate for run in runs]
    return [
        (point, run.seed, split)
        for point, run in zip(points, runs, strict=True)
        for split in ("train", "test")
    ]


def row_name(row: dict[str, Any]) -> tuple[float, int, str]:
    """What tells this row apart."""
    point = row["beta"] if row["target_rate"] is None else row["target_rate"]
    return point, row["seed"], row["split"]


def row(engine: Engine, measured: Measured, outcome: Outcome) -> dict[str, Any]:
    """The row of one run on one split: column -> value, None for a missing number.

    Args:
        engine: What measured it.
        measured: What was measured.
        outcome: How the run ended.
    """
    settings, run, m = engine.settings, measured.run, measured.measurement
    count = len(engine.data.splits[measured.split])
    finite = math.isfinite(m.mutual_information.value)
    diverged_at = outcome.diverged_at
    if diverged_at is None and not math.isfinite(m.negative_elbo.value):
        diverged_at = engine.steps  # no other step came that could find what the last one left
    values = {
        "dataset": settings.dataset,
        "split": measured.split,
        "beta": outcome.beta,
        "seed": run.seed,
        "encoder": settings.encoder,
        "decoder": settings.decoder,
        "prior": settings.prior,
        "likelihood": settings.likelihood,
        "latents": settings.latents,
        "dimensions": math.prod(engine.data.shape),
        "examples": count,
        "steps": engine.steps,
        "status": "ok" if diverged_at is None else "diverged",
        "diverged_at_step": diverged_at,
        "log_examples": math.log(count),
        "saturated": bool(m.mutual_information.value > math.log(count) - 1) if finite else None,
        "active_units": int(m.active_units) if finite else None,
        "codes": min(settings.codes, count),
        "information_kind": engine.information_kind,
        "target_rate": run.target_rate,
        "free_bits": settings.free_bits,
        "selected_step": outcome.selected_step,
    }
    for name, value in m._asdict().items():
        if isinstance(value, tuple):
            values[name], values[f"{name}_se"] = value
        else:
            values.setdefault(name, value)
    if settings.likelihood == "gaussian":
        variance = settings.likelihood_scale**2
        per_nat, constant = 2 * variance / values["dimensions"], math.log(2 * math.pi * variance)
        values["distortion_mse"] = per_nat * values["distortion"] - variance * constant
        values["distortion_mse_se"] = per_nat * values["distortion_se"]
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """As JSON can hold it: a number that is not finite is a missing one."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
