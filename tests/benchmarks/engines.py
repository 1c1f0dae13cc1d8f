"""The engine as a competitor: a sweep trained in one of the ways it can be."""

import math
import time
from typing import Any

from cases import Case, noise

from ratedistortion.engine.engine import Engine
from ratedistortion.engine.plan import Plan, Sweep


def plan(batching: str, devices: int, case: Case) -> Plan:
    """All runs of a case in one chunk."""
    devices = min(devices, case.runs)
    return Plan(batching, devices, math.ceil(case.runs / devices) * devices, 1)


class EngineLoop:
    """A sweep; a call trains it from the start and returns the seconds that its steps took.

    Args:
        case: The sweep.
        chosen: How its runs share the devices.
        devices: JAX's.
    """

    def __init__(self, case: Case, chosen: Plan, devices: list[Any]) -> None:
        self._sweep = Sweep(case.settings(), noise(case), chosen)
        self._engine = Engine(self._sweep, devices)

    def __call__(self) -> float:
        blocks = self._engine.train(self._sweep.runs)
        next(blocks)  # the parameters are drawn: no step yet
        # From here on, so that what the host does between the blocks counts too.
        began = time.perf_counter()
        for _ in blocks:
            pass
        return time.perf_counter() - began

    @property
    def compile_seconds(self) -> float:
        """Of start and steps together, once a call has been made."""
        return self._engine.compile_seconds
