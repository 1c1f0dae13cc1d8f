"""What a sweep would take, for `--dry-run`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ratedistortion import contents, datasets
from ratedistortion.devices import find_devices
from ratedistortion.engine import batch_shapes, bytes_per_run, describe
from ratedistortion.job import choose_plan
from ratedistortion.plan import all_runs, stored_plan
from ratedistortion.settings import Settings

# Seconds to compile, and the share of the speed of one large matrix product that training and
# the float64 products of measuring reach on two CPU cores; good to a factor of about 1.5.
_COMPILE_SECONDS = 12.0
_TRAINING_SHARE, _MEASURING_SHARE = 0.55, 0.2


def forecast(settings: Settings, path: Path, manifest: Mapping[str, Any] | None) -> dict[str, Any]:
    """The plan, by name, with a time estimate from a short matrix product on this machine.

    Args:
        settings: The sweep.
        path: Its run directory, which need not exist.
        manifest: That of the directory, if there is one.
    """
    data = datasets.load(settings)
    devices = find_devices(settings)
    functions, run = describe(settings, data)
    dimensions = data.train.shape[1]
    plan = (
        stored_plan(manifest["plan"], settings)
        if manifest is not None
        else choose_plan(settings, data, devices)
    )
    runs = len(all_runs(settings))
    model = jax.eval_shape(functions.build, jax.random.key(0))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(model))
    batch = batch_shapes(settings, dimensions)
    lowered = jax.jit(jax.grad(run.loss)).lower(model, *batch)
    training = (lowered.cost_analysis() or {}).get("flops", 0.0) * run.steps * runs
    # Two products of 2 latents for every pair.
    pairs = sum(min(settings.codes, len(x)) * len(x) for x in data.splits.values())
    measuring = 4 * settings.latents * pairs * runs
    speed = _product_speed(devices)
    seconds = training / speed / _TRAINING_SHARE + measuring / speed / _MEASURING_SHARE
    return {
        "run_dir": str(path),
        "table": str(path / contents.TABLE),
        "dataset": f"{data.name}: {len(data.train):,} train, {len(data.splits['test']):,} test,"
        f" {dimensions} dimensions",
        "device": devices[0].device_kind,
        "devices": plan.devices,
        "batching": plan.batching,
        "runs": runs,
        "chunks": plan.chunks,
        "runs_at_once": plan.width,
        "steps": run.steps,
        "parameters": parameters,
        "memory_mib": round(
            (plan.width * bytes_per_run(settings, run, dimensions) + data.train.nbytes) / 2**20
        ),
        "seconds": round(seconds + _COMPILE_SECONDS),
    }


def _product_speed(devices: list[Any]) -> float:
    """Operations a second of a large float32 matrix product, best of three."""
    a = jax.device_put(jnp.ones((1024, 1024), jnp.float32), devices[0])
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(a, a))
    times = []
    for _ in range(3):
        began = time.perf_counter()
        jax.block_until_ready(product(a, a))
        times.append(time.perf_counter() - began)
    return len(devices) ** (devices[0].platform != "cpu") * 2 * 1024**3 / min(times)
