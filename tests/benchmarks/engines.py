"""The engine as a competitor: a sweep trained in one of the ways it can be."""

import math
import time
from typing import Any

from cases import Case, noise

from ratedistortion.engine.engine import Engine
from ratedistortion.engine.plan import Plan, Sweep


def plan_of(case: Case, devices: list[Any]) -> Plan:
    """What the planner chooses for these runs when all of them fit in memory."""
    return plan("map" if devices[0].platform == "cpu" else "vmap", len(devices), case)


def plan(batching: str, devices: int, case: Case) -> Plan:
    """All runs of a case in one chunk."""
    devices = min(devices, case.runs)
    return Plan(batching, devices, math.ceil(case.runs / devices) * devices, 1)


class EngineLoop:
    """A sweep; a call trains it from the start and returns the seconds that its steps took.

    Args:
        case: The sweep.
        chosen: How.
        devices: JAX's.
        images: In the data set.
    """

    def __init__(self, case: Case, chosen: Plan, devices: list[Any], images: int = 10_000) -> None:
        self.case, self.plan = case, chosen
        self.engine = Engine(Sweep(case.settings(), noise(case, images), chosen), devices)

    def __call__(self) -> float:
        blocks = self.engine.train(self.case.run_ids())
        next(blocks)  # the parameters are drawn: no step yet
        # From here on, so that what the host does between the blocks counts too.
        began = time.perf_counter()
        for _ in blocks:
            pass
        return time.perf_counter() - began

    @property
    def compile_seconds(self) -> float:
        """Of start and steps together, once a call has been made."""
        return self.engine.compile_seconds

    def memory(self) -> dict[str, int]:
        """Bytes that XLA plans for the training program on one device, without the images."""
        blocks = self.engine.train(self.case.run_ids())
        next(blocks), next(blocks)
        sizes = self.engine.programs.advance.compiled().memory_analysis()
        arguments = sizes.argument_size_in_bytes - self.engine.sweep.data.train.nbytes
        return {
            "temporary": sizes.temp_size_in_bytes,
            "arguments": arguments,
            "results, not in place": sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
        }
