"""How cost grows: exponents of power laws, which theory says are one, or zero."""

from collections.abc import Callable, Mapping

import numpy as np
from cases import Case
from engines import EngineLoop, plan_of
from machine import Bench
from part_information import information
from results import Row, row
from timing import in_turn


def measure(bench: Bench) -> list[Row]:
    """The exponents, and the seconds that they are fitted to."""
    base = Case("64-64", 4, 100, hidden=(64, 64)).scaled(bench.work)

    def train(runs: int = 4, steps: int = base.steps, images: int = 10_000) -> EngineLoop:
        case = Case("64-64", runs, steps, hidden=(64, 64))
        return EngineLoop(case, plan_of(case, bench.devices), bench.devices, images)

    small = 10 if bench.quick else 1
    codes = 4_000 // small
    laws: dict[str, tuple[float, dict[int, Callable[[], float]]]] = {
        "training, runs": (1, {n: train(runs=n) for n in (4, 8, 16, 32)}),
        "training, steps": (1, {n * base.steps: train(steps=n * base.steps) for n in (1, 2, 4)}),
        "training, images N": (0, {n: train(images=n) for n in (5_000, 20_000, 60_000)}),
        "information, images N": (
            1,
            {n // small: information(n // small, codes, 16, 0.5) for n in (10_000, 20_000, 40_000)},
        ),
        "information, latents d": (
            1,
            {n: information(20_000 // small, codes, n, 0.5) for n in (4, 16, 64)},
        ),
    }
    return [row for name, law in laws.items() for row in _fit(name, *law, bench.rounds)]


def _fit(
    name: str, expected: float, competitors: Mapping[int, Callable[[], float]], rounds: int
) -> list[Row]:
    seconds = in_turn({str(size): each for size, each in competitors.items()}, rounds)
    rows = [
        row("scaling", name, f"at {int(size):,}", "time", "s", values)
        for size, values in seconds.items()
    ]
    logs = np.log([float(size) for size in seconds])
    exponents = np.polyfit(logs, np.log(list(seconds.values())), 1)[0]
    label = f"exponent ({'at most ' if 'latents' in name else ''}{expected:g} expected)"
    return [*rows, row("scaling", name, "power law", label, "", exponents.tolist())]
