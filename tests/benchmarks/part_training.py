"""Training: the engine beside the loops that a user would write instead."""

import sys
from collections.abc import Callable
from typing import Any

from cases import CASES, Case, noise
from engines import EngineLoop, plan
from jax_loop import JaxLoop
from timing import Bench, Row, in_turn, ratios, row

TORCH, JAX = "PyTorch loop", "JAX loop of jitted steps"
COLUMNS = {
    "time": "ms per step and model",
    "ratio to PyTorch": "× PyTorch",
    "ratio to JAX loop": "× JAX loop",
    "compilation": "compile s",
}


def measure(bench: Bench) -> list[Row]:
    """All cases, one after another; in each, all competitors in turn."""
    work = (1 if bench.on_cpu else 8) * (0.2 if bench.quick else 1)
    return [row for case in CASES for row in measure_case(case.scaled(work), bench)]


def measure_case(case: Case, bench: Bench) -> list[Row]:
    """All competitors of one case, in turn."""
    print(f"  {case.name}", file=sys.stderr, flush=True)
    competitors = _competitors(case, bench)
    seconds = in_turn(competitors, bench.rounds)
    steps = {name: case.steps * case.runs for name in seconds}
    steps |= {TORCH: case.loop_steps, JAX: case.loop_steps}
    times = {name: [1e3 * s / steps[name] for s in each] for name, each in seconds.items()}
    rows = []
    for name, values in times.items():
        found = {"time": ("ms", values)}
        if TORCH in times:
            found["ratio to PyTorch"] = "ratio", ratios(times[TORCH], values)
        found["ratio to JAX loop"] = "ratio", ratios(times[JAX], values)
        if name != TORCH:
            found["compilation"] = "s", [competitors[name].compile_seconds]
        rows += [row("training", case.name, name, what, *each) for what, each in found.items()]
    return rows


def _competitors(case: Case, bench: Bench) -> dict[str, Any]:
    count = len(bench.devices)
    chosen = "map" if bench.on_cpu else "vmap"
    plans = {f"engine, planned: {_name(chosen, count)}": plan(chosen, count, case)}
    for devices in (count, 1):
        other = plan("vmap", devices, case)
        if other not in plans.values():
            plans[f"engine, {_name('vmap', devices)}"] = other
    competitors: dict[str, Callable[[], float]] = {
        name: EngineLoop(case, each, bench.devices) for name, each in plans.items()
    }
    competitors[JAX] = JaxLoop(case, noise(case).train)
    if worker := bench.torch:
        device = "cpu" if bench.on_cpu else "cuda"
        competitors[TORCH] = lambda: worker.seconds(case, case.loop_steps, device)
    return competitors


def _name(batching: str, devices: int) -> str:
    return f"{batching}, {devices} device{'s' if devices > 1 else ''}"
