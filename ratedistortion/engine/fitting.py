"""How many runs a sweep trains at once: as many as fit, by what XLA says that they need."""

import math
from collections.abc import Sequence
from typing import Any

from ratedistortion.datasets import Dataset
from ratedistortion.engine.devices import free_memory
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.plan import RunId, Sweep, make_plan
from ratedistortion.settings import Settings

# Safety factor on XLA's estimate of a chunk's memory.
_MARGIN = 1.1
# Plans that are tried: all runs at once, fewer by what XLA says of those, and once more where each
# of fewer runs needs more memory.
_PLANS = 3


def fitted_engine(
    settings: Settings, data: Dataset, runs: tuple[RunId, ...], devices: Sequence[Any]
) -> Engine:
    """The engine of new runs, with the training of a chunk compiled.

    Args:
        settings: The sweep.
        data: Its data set.
        runs: What is to be computed.
        devices: Those at hand.

    Raises:
        OutOfMemoryError: If not even one run fits.
        SettingsError: If `runs_at_once` asks for more than memory holds.
    """
    stored = sum(images.nbytes for images in data.splits.values())
    memory = free_memory(list(devices)) - len(devices) * stored
    needed, engine = 1, None
    for _ in range(_PLANS):
        plan = make_plan(settings, len(runs), devices[0].platform, len(devices), needed, memory)
        if engine and plan == engine.sweep.plan:
            break
        engine = Engine(Sweep(settings, data, plan, runs), devices)
        taken = engine.training_bytes()
        if taken <= memory and plan.chunks == 1:
            break
        needed = math.ceil(_MARGIN * taken / plan.width)
    assert engine is not None
    return engine
