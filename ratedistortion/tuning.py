"""How wide a chunk is, by what XLA says that it takes; how its runs are batched, by the clock."""

import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from ratedistortion.datasets import Dataset
from ratedistortion.datasets.cache import cache_folder
from ratedistortion.devices import find_devices, free_memory, out_of_memory
from ratedistortion.engine import Engine
from ratedistortion.files import write_file
from ratedistortion.plan import candidates, make_plan, stored_plan
from ratedistortion.provenance import check_surroundings
from ratedistortion.releases import check_release
from ratedistortion.settings import ENGINE_FIELDS, Settings

# A trial: long enough to be measured, twice; longer where that is what a dispatch's own cost takes
# to be known. Sweeps that are shorter than what compiling the other candidates takes are not worth
# one; another way than the platform's own must be clearly faster.
_TRIAL_SECONDS, _LONGEST_TRIAL_SECONDS, _ROUNDS = 0.3, 3.0, 2
_WORTH_SECONDS = 60.0
_CLEARLY = 0.95
# Rounds that differ by more were taken while other programs were at work: the choice serves this
# sweep and is not remembered.
_STEADY = 1.25
# Shorter dispatches tell a step from the rest, the longer one with this many times their steps; the
# first is one of two, as it touches memory and wakes threads for all.
_SHORTER, _APART = 2, 1.5
# Between what XLA takes for a chunk and what is asked of the device.
_MARGIN = 1.1
# All runs at once, by what XLA says of that, and once more where fewer take more each.
_PLANS = 3
# What a step costs does not depend on these.
_NOT_OF_A_STEP = (
    *ENGINE_FIELDS, "dataset", "max_examples", "betas", "target_rates", "seeds", "epochs", "steps",
    "learning_rate", "warmup", "codes", "iwae", "save_posteriors",
)  # fmt: skip


class Prepared(NamedTuple):
    """An engine that is ready to train.

    Attributes:
        engine: With its training compiled.
        step_seconds: Of one step of a whole chunk, for every way of batching that was timed here
            or on an earlier day; empty where the sweep was begun before.
    """

    engine: Engine
    step_seconds: Mapping[str, float]


def begin(
    settings: Settings,
    data: Dataset,
    manifest: dict[str, Any] | None,
    report: Callable[[Mapping[str, Any]], None],
) -> tuple[Prepared, list[Any]]:
    """Prepares a new sweep, or one that goes on as its manifest says; and the devices at hand.

    Args:
        settings: The sweep.
        data: Its data set.
        manifest: That of its run directory, if there is one.
        report: Told where the sweep goes on in other surroundings than it was begun in, and of a
            release of JAX that is newer than all that are tested.

    Raises:
        RunDirectoryError: If the manifest is damaged, or of other data or more devices.
        OutOfMemoryError, SettingsError: As `prepare`, `find_devices` and `check_release` do.
    """
    if manifest is None:
        devices = find_devices(settings)
        check_release(devices, report)
        return prepare(settings, data, devices), devices
    plan = stored_plan(manifest["plan"], settings)
    devices = find_devices(settings, plan.devices)
    check_release(devices, report)
    check_surroundings(manifest, data, plan, devices, report)
    return Prepared(Engine(settings, data, plan, devices), {}), devices


def prepare(settings: Settings, data: Dataset, devices: Sequence[Any]) -> Prepared:
    """Chooses the plan of a new sweep: width by memory, batching by a trial of each candidate.

    The choice is remembered in the user's cache folder, if the machine was quiet, for the same
    model, data of the same shape, devices and versions, so that the same command makes the same
    plan again. A short sweep has no trial: it takes the platform's own way, one run after another
    on a CPU, all at once elsewhere.

    Args:
        settings: The sweep.
        data: Its data set.
        devices: Those at hand.

    Raises:
        OutOfMemoryError: If not even one run fits.
        SettingsError: If `runs_at_once` asks for more than memory holds.
    """
    engine = _fitted(settings, data, devices)
    if settings.batching != "auto" or len(candidates(engine.plan)) == 1:
        return Prepared(engine, {})
    path = cache_folder() / "batching" / f"{_fingerprint(engine, devices)}.json"
    known = _read(path)
    for plan in candidates(engine.plan):
        if known and plan.way == known["way"]:
            if plan != engine.plan:
                engine = Engine(settings, data, plan, devices)
            return Prepared(engine, known["step_seconds"])
    seconds = _training(engine, time_step(engine, _WORTH_SECONDS))
    if seconds < _WORTH_SECONDS or not math.isfinite(seconds):
        return Prepared(engine, {})
    chosen, times, steady = _trial(engine, settings, data, devices)
    if steady:
        _write(path, {"way": chosen.plan.way, "step_seconds": times})
    return Prepared(chosen, times)


def time_step(engine: Engine, short: float = 0.0) -> float:
    """Seconds of one step of a chunk, from a training that is thrown away; inf: no memory.

    Without what a dispatch costs beside its steps, if a few seconds tell them apart. With `short`
    it ends as soon as the whole training will take less than so many seconds; the first steps look
    slower than they are.
    """
    dispatches: list[tuple[int, float]] = []
    steps, step = 0, math.inf
    try:
        for block in engine.train(engine.plan.runs(engine.settings, 0)):
            if not block.steps:
                continue
            dispatches.append((block.steps - steps, block.seconds))
            steps, step = block.steps, _step(dispatches)
            enough = _TRIAL_SECONDS if len(dispatches) > _SHORTER else _LONGEST_TRIAL_SECONDS
            spent = sum(seconds for _, seconds in dispatches)
            if spent > enough or _training(engine, step) < short:
                break
    except Exception as error:
        if not out_of_memory(error):
            raise
    return step


def _step(dispatches: Sequence[tuple[int, float]]) -> float:
    """Seconds of a step of the last of several dispatches, each its steps and seconds.

    Moving the states of all runs through memory can take a dispatch as long as two steps. Other
    programs only ever delay, so that what a delayed shorter dispatch says of a step is too little.
    """
    *shorter, (steps, seconds) = dispatches
    slopes = [(seconds - each) / (steps - n) for n, each in shorter if steps >= _APART * n]
    mean = seconds / steps
    known = len(slopes) >= _SHORTER and max(slopes) > 0
    return min(max(slopes), mean) if known else mean


def _training(engine: Engine, step: float) -> float:
    """Seconds of the training of all chunks."""
    return step * engine.steps * engine.plan.chunks


def _fitted(settings: Settings, data: Dataset, devices: Sequence[Any]) -> Engine:
    """An engine as wide as fits, by what XLA says that the widest takes."""
    stored = sum(images.nbytes for images in data.splits.values())
    memory = free_memory(list(devices)) - len(devices) * stored
    needed, engine, compiled = 1, None, 0.0
    for _ in range(_PLANS):
        plan = make_plan(settings, devices[0].platform, len(devices), needed, memory)
        if engine and plan == engine.plan:
            break
        engine = Engine(settings, data, plan, devices)
        taken = engine.training_bytes()
        compiled += engine.programs.seconds
        if taken is None or (taken <= memory and plan.chunks == 1):
            break
        needed = math.ceil(_MARGIN * taken / plan.width)
    assert engine is not None
    engine.programs.seconds = compiled
    return engine


def _trial(
    engine: Engine, settings: Settings, data: Dataset, devices: Sequence[Any]
) -> tuple[Engine, dict[str, float], bool]:
    """The fastest candidate, the seconds of a step of each, and whether its rounds agree."""
    engines = [engine] + [
        Engine(settings, data, plan, devices) for plan in candidates(engine.plan)[1:]
    ]
    rounds = [[time_step(each) for each in engines] for _ in range(_ROUNDS)]
    lowest, highest = (
        {each.plan.way: end(seconds) for each, *seconds in zip(engines, *rounds, strict=True)}
        for end in (min, max)
    )
    best = min(engines, key=lambda each: lowest[each.plan.way])
    if lowest[best.plan.way] > _CLEARLY * lowest[engine.plan.way]:
        best = engine
    best.programs.seconds = sum(each.programs.seconds for each in engines)
    times = {way: seconds for way, seconds in lowest.items() if math.isfinite(seconds)}
    return best, times, all(highest[way] <= _STEADY * lowest[way] for way in lowest)


def _fingerprint(engine: Engine, devices: Sequence[Any]) -> str:
    """Of all that the speed of a batching depends on."""
    settings = {k: v for k, v in engine.settings.as_json().items() if k not in _NOT_OF_A_STEP}
    facts = [
        settings,
        bool(engine.settings.target_rates),
        engine.data.shape,
        str(engine.data.train.dtype),
        dataclasses.astuple(engine.plan)[1:3],
        devices[0].device_kind,
        len(devices),
        [metadata.version(name) for name in ("ratedistortion", "jax", "jaxlib")],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, Any] | None:
    """A choice of an earlier day; None where there is none that can be used."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        known = json.loads(path.read_text())
        times = {str(way): float(seconds) for way, seconds in known["step_seconds"].items()}
        return {"way": str(known["way"]), "step_seconds": times}
    return None


def _write(path: Path, choice: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # A home that is read-only costs time, not the sweep.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, json.dumps(choice).encode())
