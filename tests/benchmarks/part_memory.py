"""Memory: what XLA plans for training."""

import resource

from engines import EngineLoop, plan, plan_of
from machine import Bench
from results import Row, row

_MEBI = 2**20


def measure(bench: Bench) -> list[Row]:
    """MiB per run of every case, as planned and with all runs of one device at once.

    The images, which all runs share, are left out on both sides.
    """
    rows = []
    for case in bench.cases:
        ways = {"as planned": plan_of(case, bench.devices), "vmap, 1": plan("vmap", 1, case)}
        for way, chosen in ways.items():
            loop = EngineLoop(case.scaled(0), chosen, bench.devices)
            share = chosen.width // chosen.devices
            planned = {name: size / share / _MEBI for name, size in loop.memory().items()}
            for quantity, value in (*planned.items(), ("XLA's plan", sum(planned.values()))):
                rows.append(row("memory", case.name, way, quantity, "MiB per run", [value]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    rows.append(row("memory", "all so far", "this process", "peak resident", "MiB", [peak]))
    return rows
