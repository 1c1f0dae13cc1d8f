"""What was measured, as rows of the table."""

import math
from collections.abc import Sequence
from typing import Any

from ratedistortion.engine import Engine, Measured
from ratedistortion.plan import RunId


def row_names(runs: Sequence[RunId]) -> list[tuple[float, int, str]]:
    """What tells the rows of a table apart, in their order."""
    return [(run.beta, run.seed, split) for run in runs for split in ("train", "test")]


def row(engine: Engine, measured: Measured, diverged_at: int | None) -> dict[str, Any]:
    """The row of one run on one split: column -> value, None for a missing number.

    Args:
        engine: What measured it.
        measured: What was measured.
        diverged_at: The step at which the run stopped being finite, None if it never did.
    """
    settings, run, m = engine.settings, measured.run, measured.measurement
    count = len(engine.data.splits[measured.split])
    finite = math.isfinite(m.mutual_information.value)
    values = {
        "dataset": settings.dataset,
        "split": measured.split,
        "beta": run.beta,
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
    }
    for name, value in m._asdict().items():
        if isinstance(value, tuple):
            values[name], values[f"{name}_se"] = value
        else:
            values.setdefault(name, value)
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """As JSON can hold it: a number that is not finite is a missing one."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
