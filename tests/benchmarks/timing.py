"""Seconds of several competitors, taken in turn, and what is said of a handful of numbers."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

# Threads of the one that was timed last may still be awake, looking for work.
_PAUSE_SECONDS = 0.05


class Spread(NamedTuple):
    """Numbers from several rounds: the middle one, the ends, and how many there were."""

    median: float
    lowest: float
    highest: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one number."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


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


def timed(function: Callable[[], Any]) -> Callable[[], float]:
    """A competitor whose whole work counts, until JAX has its results."""
    import jax

    def competitor() -> float:
        began = time.perf_counter()
        jax.block_until_ready(function())
        return time.perf_counter() - began

    return competitor


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The ratio within every round."""
    return [a / b for a, b in zip(above, below, strict=True)]
