"""Seconds of several competitors, taken in turn, and what is said of a handful of numbers."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch_client import TorchWorker

# Threads of the competitor that was timed last may still be awake, looking for work.
_PAUSE_SECONDS = 0.05


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


class Row(NamedTuple):
    """One quantity of one competitor: the median over rounds, and the ends."""

    part: str
    case: str
    competitor: str
    quantity: str
    unit: str
    median: float
    lowest: float
    highest: float
    rounds: int


def row(
    part: str, case: str, competitor: str, quantity: str, unit: str, values: Sequence[float]
) -> Row:
    """The row of a quantity that was measured in several rounds, or once."""
    spread = statistics.median(values), min(values), max(values), len(values)
    return Row(part, case, competitor, quantity, unit, *spread)


def cell(row: Row) -> str:
    """The median to three digits; of a time that was measured several times also the ends."""
    if row.unit == "ms" and row.rounds > 1:
        return f"{row.median:.3g} ({row.lowest:.3g}–{row.highest:.3g})"
    return f"{row.median:.3g}"


def in_turn(competitors: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Times all competitors round by round, so that a slow minute of the machine hits them all.

    Args:
        competitors: Name -> what does its work once and returns the seconds that count.
        rounds: Rounds that are counted, after one that warms up and compiles.

    Returns:
        Name -> seconds of every counted round. Within a round they may be divided by each other.
    """
    seconds: dict[str, list[float]] = {name: [] for name in competitors}
    for number in range(rounds + 1):
        for name, competitor in competitors.items():
            time.sleep(_PAUSE_SECONDS)
            taken = competitor()
            if number:
                seconds[name].append(taken)
    return seconds


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The ratio within every round."""
    return [a / b for a, b in zip(above, below, strict=True)]
