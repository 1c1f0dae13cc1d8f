"""What was measured, as rows of the table."""

import math
from collections.abc import Sequence
from typing import Any

from ratedistortion.engine.engine import Engine, Measured
from ratedistortion.engine.outcomes import Outcome
from ratedistortion.engine.plan import RunId
from ratedistortion.measuring.consistency import Facts, contradictions, within_bounds
from ratedistortion.measuring.information import terms_of_bounds
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.theory import known_entropy, known_spread


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
    settings, run, m = engine.sweep.settings, measured.run, measured.measurement
    known = facts(engine, measured)
    diverged_at, failed = outcome.diverged_at, outcome.diverged_by
    if diverged_at is None and not math.isfinite(m.negative_elbo.value):
        # No other step came that could find what the last one left.
        diverged_at, failed = engine.steps, "R + D"
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
        "dimensions": math.prod(engine.sweep.data.shape),
        "examples": known.images,
        "distinct_examples": known.distinct,
        "steps": engine.steps,
        "log_examples": math.log(known.images),
        "codes": known.codes,
        "information_kind": engine.information_kind,
        "target_rate": run.target_rate,
        "free_bits": settings.free_bits,
        "selected_step": outcome.selected_step,
    }
    if diverged_at is not None:
        note = engine.sweep.data.far_from_unit_scale
        failed = f"{failed} is not finite" + (f"; {note}" if note else "")
        values |= {"status": "diverged", "diverged_at_step": diverged_at, "failed_checks": failed}
        return values
    failed_checks = contradictions(m, known)
    values |= {
        "status": "suspect" if failed_checks else "ok",
        "failed_checks": "; ".join(failed_checks) or None,
    }
    for name, value in m._asdict().items():
        if isinstance(value, tuple):
            values[name], values[f"{name}_se"] = value
        else:
            values[name] = value
    values |= within_bounds(m, known)
    exact = known.exact and math.isfinite(m.mutual_information.value)
    ceiling = math.log(known.distinct)
    values["saturated"] = bool(values["mutual_information"] > ceiling - 1) if exact else None
    values["active_units"] = int(m.active_units) if exact else None
    if settings.likelihood == "gaussian":
        variance = settings.likelihood_scale**2
        per_nat, constant = 2 * variance / values["dimensions"], math.log(2 * math.pi * variance)
        values["distortion_mse"] = per_nat * values["distortion"] - variance * constant
        values["distortion_mse_se"] = per_nat * values["distortion_se"]
    return {name: _plain(value) for name, value in values.items()}


def facts(engine: Engine, measured: Measured) -> Facts:
    """What is known of a row beside what was measured."""
    settings, data = engine.sweep.settings, engine.sweep.data
    count, exact = len(data.splits[measured.split]), engine.information_kind == "exact"
    codes = min(settings.codes, count)
    lower, upper = terms_of_bounds(codes, exact)
    least = LIKELIHOODS[settings.likelihood](settings).least * math.prod(data.shape)
    # Images that were trained on may be known by heart.
    entropy = known_entropy(settings.as_json()) if measured.split == "test" else None
    if entropy is not None:
        spread = known_spread(settings.as_json())  # these images are a sample of the source
        entropy = entropy[0], math.hypot(entropy[1], spread / math.sqrt(count))
    return Facts(
        images=count,
        distinct=data.distinct[measured.split],
        codes=codes,
        lower_terms=lower,
        upper_terms=upper,
        entropy=entropy,
        least_distortion=least,
        exact=exact,
        importance=settings.iwae > 0,
    )


def _plain(value: Any) -> Any:
    """As JSON can hold it: a number that is not finite is a missing one."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
