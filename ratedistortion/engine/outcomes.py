"""What became of the runs of a chunk, read off their state: no arithmetic on a device."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ratedistortion.engine.plan import RunId
from ratedistortion.training.state import TERMS, TrainState


class Outcome(NamedTuple):
    """How one run ended.

    Attributes:
        beta: The weight of the rate, given or found.
        diverged_at: The step at which it stopped being finite, None if it never did.
        diverged_by: What was not finite then: D, R or the gradient; None if all was.
        selected_step: Steps behind the parameters that it ends with; None where those are the last.
    """

    beta: float
    diverged_at: int | None
    diverged_by: str | None
    selected_step: int | None


def outcomes(runs: Sequence[RunId], state: TrainState) -> dict[RunId, Outcome]:
    """How every run ended.

    Args:
        runs: The runs of a chunk.
        state: Theirs, after the last step; it may hold padding behind them.
    """
    steps, causes = (np.asarray(x).tolist() for x in (state.diverged_at, state.diverged_by))
    betas, kept_steps = [run.beta for run in runs], [None] * len(runs)
    log_beta = (state.best or state).log_beta
    if log_beta is not None:
        betas = np.exp(np.asarray(log_beta, float)).tolist()
    if state.best is not None:
        kept_steps = np.asarray(state.best.step).tolist()
    return {
        run: Outcome(beta, *((step, TERMS[cause]) if step >= 0 else (None, None)), kept)
        for run, beta, step, cause, kept in zip(
            runs, betas, steps, causes, kept_steps, strict=False
        )
    }


def loss_curves(runs: Sequence[RunId], state: TrainState, steps: int) -> list[dict[str, Any]]:
    """The loss curve of every run: mean D and R in nats per image over shares of the steps.

    Args:
        runs: The runs.
        state: Theirs, after the last step.
        steps: How many steps a run has.

    Returns:
        `beta`, `target_rate`, `seed`, `steps` (where each share ends), `distortion` and `rate`,
        which are None from where a run diverged on, or where they are not finite.
    """
    points = state.history.shape[1]
    share = np.arange(steps, dtype=np.int64) * points // steps
    counts = np.bincount(share, minlength=points)
    used = counts > 0
    ends = np.cumsum(counts)[used].tolist()
    curves = []
    for (run, outcome), sums in zip(
        outcomes(runs, state).items(), np.asarray(state.history), strict=False
    ):
        good = np.bincount(share[: outcome.diverged_at], minlength=points)[used]
        means = sums[used] / np.where(good, good, np.nan)[:, None]
        distortion, rate = (
            [float(mean) if math.isfinite(mean) else None for mean in column] for column in means.T
        )
        curves.append({
            "beta": outcome.beta, "target_rate": run.target_rate, "seed": run.seed, "steps": ends,
            "distortion": distortion, "rate": rate,
        })  # fmt: skip
    return curves
