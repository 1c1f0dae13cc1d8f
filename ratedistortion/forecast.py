"""What a sweep would take, for `--dry-run`."""

import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion import contents, datasets
from ratedistortion.datasets import Dataset
from ratedistortion.errors import OutOfMemoryError
from ratedistortion.estimators import Posteriors, mixture_terms
from ratedistortion.plan import all_runs
from ratedistortion.settings import Settings
from ratedistortion.tuning import begin, time_step

# Encoding and decoding an image takes a third of training on it, most in smaller products; the
# bounds of I(n;z) come to a part of the exact estimate.
_FORWARD_SHARE, _BOUNDS_SHARE = 0.5, 0.36
# Measuring and the pictures are compiled too: by as much again as training, for every split.
_COMPILED_AGAIN = 3.0
_CODES, _POSTERIORS = 1024, 8192


def forecast(settings: Settings, path: Path, manifest: dict[str, Any] | None) -> dict[str, Any]:
    """The plan, by name, with a time estimate from a few steps and codes on this machine.

    Args:
        settings: The sweep.
        path: Its run directory, which need not exist.
        manifest: That of the directory, if there is one.
    """
    data = datasets.load(settings)
    (engine, step_seconds), devices = begin(settings, data, manifest, lambda event: None)
    plan, runs = engine.plan, all_runs(settings)
    taken = engine.training_bytes() or 0
    step = step_seconds.get(plan.way) or time_step(engine)
    if not math.isfinite(step):
        raise OutOfMemoryError(
            f"{plan.width} runs at once do not fit in memory: lower runs_at_once, hidden, latents"
            " or batch_size."
        )
    measuring = plan.chunks * (plan.width // plan.devices) * _measuring(settings, data)
    images = sum(map(len, data.splits.values())) * len(runs)
    forward = _FORWARD_SHARE * step / plan.width / settings.batch_size * images
    model = jax.eval_shape(engine.functions.build, jax.random.key(0))
    return {
        "run_dir": str(path),
        "table": str(path / contents.TABLE),
        "dataset": f"{data.name}: {len(data.train):,} train, {len(data.splits['test']):,} test,"
        f" {data.train.shape[1]} dimensions",
        "device": devices[0].device_kind,
        "devices": plan.devices,
        "batching": plan.way,
        "runs": len(runs),
        "chunks": plan.chunks,
        "runs_at_once": plan.width,
        "steps": engine.steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(model)),
        "memory_mib": round((taken + plan.devices * data.train.nbytes) / 2**20),
        "seconds": round(
            step * engine.steps * plan.chunks
            + measuring
            + forward
            + engine.programs.seconds * _COMPILED_AGAIN
        ),
    }


def _measuring(settings: Settings, data: Dataset) -> float:
    """Seconds of the exact information of a run per device, by the speed of a few codes."""
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        mean = jnp.asarray(random.normal(size=(_POSTERIORS, settings.latents)))
        posteriors = Posteriors(mean, jnp.full_like(mean, 0.5))
        own = jnp.arange(_CODES)
        terms = jax.jit(mixture_terms)
        jax.block_until_ready(terms(mean[:_CODES], own, posteriors))
        began = time.perf_counter()
        jax.block_until_ready(terms(mean[:_CODES], own, posteriors))
        each = (time.perf_counter() - began) / (_CODES * _POSTERIORS)
    pairs = sum(min(settings.codes, len(x)) * len(x) for x in data.splits.values())
    return (1 + _BOUNDS_SHARE) * each * pairs
