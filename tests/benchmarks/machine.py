"""What the benchmark runs on, and with what."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax
from cases import CASES, Case
from torch_client import TorchWorker


class Bench(NamedTuple):
    """What every part of the benchmark is given.

    Attributes:
        quick: Whether to try the program rather than to measure: few rounds, little work.
        rounds: Rounds that are counted.
        devices: JAX's.
        torch: The PyTorch worker, if there is one.
    """

    quick: bool
    rounds: int
    devices: list[Any]
    torch: TorchWorker | None

    @property
    def on_cpu(self) -> bool:
        """Whether JAX computes on the processor."""
        return self.devices[0].platform == "cpu"

    @property
    def cases(self) -> tuple[Case, ...]:
        """Those of the parts that take a case at a time and long for each."""
        return CASES[::3] if self.quick else CASES

    @property
    def work(self) -> float:
        """How much work a round has, relative to what suits two CPU cores."""
        return (1 if self.on_cpu else 8) * (0.2 if self.quick else 1)


def surroundings(bench: Bench) -> dict[str, Any]:
    """Machine and versions, by name; they go into every row of the table."""
    return {
        "machine": processor() if bench.on_cpu else bench.devices[0].device_kind,
        "cores": len(os.sched_getaffinity(0)),
        "devices": len(bench.devices),
        "jax": jax.__version__,
        "torch": bench.torch.about["torch"] if bench.torch else "",
        "ratedistortion": metadata.version("ratedistortion"),
        "quick": bench.quick,
        # Of other programs, at the start: PyTorch suffers most when it must share a core.
        "load": os.getloadavg()[0],
    }


def processor() -> str:
    """The processor's name, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
