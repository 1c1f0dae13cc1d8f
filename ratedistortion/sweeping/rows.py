"""Rows of the table from what was measured."""

import math
import re
from typing import Any

from ratedistortion.engine.engine import Engine, MeasuredRun
from ratedistortion.engine.outcomes import Outcome
from ratedistortion.measuring.consistency import Facts, as_columns
from ratedistortion.models.families import FAMILIES
from ratedistortion.settings import code
from ratedistortion.table.columns import check_names
from ratedistortion.theory import known_entropy, known_spread

_FROM_SETTINGS = check_names("dataset", "encoder", "decoder", "prior", "likelihood", "free_bits")


def row(engine: Engine, measured: MeasuredRun, outcome: Outcome) -> dict[str, Any]:
    """Makes the row of one run on one split.

    Args:
        engine: What measured it.
        measured: What was measured.
        outcome: How the run ended.

    Returns:
        Column -> value, None where a number is missing. A row of a run that diverged has no
        columns of measured numbers.
    """
    settings, run, m = engine.sweep.settings, measured.run, measured.measurement
    known = facts(engine, measured)
    diverged_at, failed = outcome.diverged_at, outcome.diverged_by
    if diverged_at is None and not math.isfinite(m.negative_elbo.value):
        # The last step left numbers that are not finite, and no later step could notice that.
        diverged_at, failed = engine.steps, "R + D"
    values = {name: getattr(settings, name) for name in _FROM_SETTINGS}
    values |= {name: code.shown(values[name]) for name in FAMILIES}
    values |= {
        "dataset": re.sub("[^:]*/", "", values["dataset"]),  # not the folders of its user
        "split": measured.split,
        "beta": outcome.beta,
        "seed": run.seed,
        "latents": engine.autoencoder.latents,
        "dimensions": math.prod(engine.sweep.data.shape),
        "examples": known.images,
        "distinct_examples": known.distinct,
        "steps": engine.steps,
        "log_examples": math.log(known.images),
        "codes": known.codes,
        "information_kind": engine.information_kind,
        "target_rate": run.target_rate,
        "selected_step": outcome.selected_step,
    }
    if diverged_at is not None:
        note = engine.sweep.data.far_from_unit_scale
        values |= {"status": "diverged", "diverged_at_step": diverged_at}
        return values | {"failed_checks": f"{failed} is not finite" + (f"; {note}" if note else "")}
    values |= as_columns(m, known)
    return {name: _plain(values[name]) for name in check_names(*values)}


def facts(engine: Engine, measured: MeasuredRun) -> Facts:
    """Collects what is known about a row besides what was measured.

    Args:
        engine: What measured it.
        measured: What was measured.

    Returns:
        The facts that its numbers are compared with.
    """
    settings, data, autoencoder = engine.sweep.settings, engine.sweep.data, engine.autoencoder
    count, exact = len(data.splits[measured.split]), engine.information_kind == "exact"
    least = autoencoder.likelihood.least
    if autoencoder.learns_scale:
        least += math.log(measured.measurement.likelihood_scale)
    # A model can overfit the images it was trained on, and -ELBO is then below the entropy.
    entropy = known_entropy(settings.as_json()) if measured.split == "test" else None
    if entropy is not None:
        spread = known_spread(settings.as_json())  # these images are a sample of the source
        entropy = entropy[0], math.hypot(entropy[1], spread / math.sqrt(count))
    return Facts(
        images=count,
        distinct=data.distinct[measured.split],
        codes=min(settings.codes, count),
        latents=autoencoder.latents,
        entropy=entropy,
        least_distortion=least * math.prod(data.shape),
        exact=exact,
        importance=settings.iwae > 0,
        dimensions=math.prod(data.shape),
        least_likelihood_scale=autoencoder.least_likelihood_scale
        if autoencoder.learns_scale
        else 0.0,
    )


def _plain(value: Any) -> Any:
    """The value as JSON can hold it; None for a number that is not finite."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
