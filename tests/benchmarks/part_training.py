"""Training: the engine beside the loops that a user would write instead."""

import sys
from collections.abc import Callable
from typing import Any

from cases import CASES, Case, noise
from ceiling import MatrixProduct
from engines import EngineLoop, plan, plan_of
from flops import step_flops
from jax_loop import JaxLoop
from machine import Bench
from results import Row, row
from timing import in_turn, ratios

from ratedistortion.engine.plan import Plan

TORCH, JAX = "PyTorch loop", "JAX loop of jitted steps"
COLUMNS = {
    "time": "ms per step and model",
    "ratio to PyTorch": "× PyTorch",
    "ratio to JAX loop": "× JAX loop",
    "speed": "GFLOP/s",
    "share": "of the ceiling",
    "compilation": "compile s",
}


def measure(bench: Bench) -> list[Row]:
    """All cases, one after another."""
    product = MatrixProduct()
    return [row for case in CASES for row in measure_case(case.scaled(bench.work), bench, product)]


def measure_case(case: Case, bench: Bench, product: MatrixProduct) -> list[Row]:
    """All competitors of one case, in turn, and the ceiling in every round beside them."""
    competitors = _competitors(case, bench)
    seconds = in_turn({**competitors, "ceiling": product}, bench.rounds)
    ceiling = [product.operations / each / 1e9 for each in seconds.pop("ceiling")]
    loops = case.loop_steps
    models = {name: loops if name in (TORCH, JAX) else case.steps * case.runs for name in seconds}
    times = {name: [1e3 * s / models[name] for s in seconds[name]] for name in seconds}
    rows = []

    def add(name: str, quantity: str, unit: str, values: list[float]) -> None:
        rows.append(row("training", case.name, name, quantity, unit, values))

    for name, values in times.items():
        speeds = [step_flops(case) / each / 1e6 for each in values]
        add(name, "time", "ms", values)
        if TORCH in times:
            add(name, "ratio to PyTorch", "ratio", ratios(times[TORCH], values))
        add(name, "ratio to JAX loop", "ratio", ratios(times[JAX], values))
        add(name, "speed", "GFLOP/s", speeds)
        add(name, "share", "share", ratios(speeds, ceiling))
        if name != TORCH:
            add(name, "compilation", "s", [competitors[name].compile_seconds])
    add("ceiling", "ceiling", "GFLOP/s", ceiling)
    return rows


def _competitors(case: Case, bench: Bench) -> dict[str, Any]:
    print(f"  {case.name}", file=sys.stderr, flush=True)
    own = plan_of(case, bench.devices)
    count = len(bench.devices)
    plans = {f"engine, planned: {_name(own)}": own}
    for devices in (count, 1):
        other = plan("vmap", devices, case)
        if other not in plans.values():
            plans[f"engine, {_name(other)}"] = other
    competitors: dict[str, Callable[[], float]] = {
        name: EngineLoop(case, each, bench.devices) for name, each in plans.items()
    }
    competitors[JAX] = JaxLoop(case, noise(case).train)
    if worker := bench.torch:
        device = "cpu" if bench.on_cpu else "cuda"
        competitors[TORCH] = lambda: worker.seconds(case, case.loop_steps, device)
    return competitors


def _name(chosen: Plan) -> str:
    return f"{chosen.batching}, {chosen.devices} device{'s' if chosen.devices > 1 else ''}"
