"""What comes before training: the plan of a sweep, new or stored, and what it will take."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from ratedistortion import datasets
from ratedistortion.datasets import Dataset
from ratedistortion.engine.devices import find_devices
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.fitting import fitted_engine
from ratedistortion.engine.plan import all_runs, stored_plan
from ratedistortion.engine.releases import check_release
from ratedistortion.run_directory import reading
from ratedistortion.settings import Settings
from ratedistortion.sweeping.manifest import check_surroundings


def prepare(
    settings: Settings,
    data: Dataset,
    manifest: dict[str, Any] | None,
    report: Callable[[Mapping[str, Any]], None],
) -> tuple[Engine, list[Any]]:
    """The engine of a new sweep, or of one that goes on as its manifest says; and the devices.

    Args:
        settings: The sweep.
        data: Its data set.
        manifest: That of its run directory, if there is one.
        report: Told where the sweep goes on in other surroundings than it was begun in, and of a
            release of JAX that is newer than all that are tested.

    Raises:
        RunDirectoryError: If the manifest is damaged, or of other data or more devices.
        OutOfMemoryError, SettingsError: As `fitted_engine`, `find_devices` and `check_release` do.
    """
    if manifest is None:
        devices = find_devices(settings)
        check_release(devices, report)
        return fitted_engine(settings, data, devices), devices
    plan = stored_plan(manifest["plan"], settings)
    devices = find_devices(settings, plan.devices)
    check_release(devices, report)
    check_surroundings(manifest, data, plan, devices, report)
    return Engine(settings, data, plan, devices), devices


def planned(
    settings: Settings,
    path: Path,
    manifest: dict[str, Any] | None,
    report: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    """What a sweep will take, by name; nothing is trained, timed or written.

    Args:
        settings: The sweep.
        path: Its run directory, which need not exist.
        manifest: That of the directory, if there is one.
        report: As in `prepare`.
    """
    data = datasets.load(settings)
    engine, devices = prepare(settings, data, manifest, report)
    plan = engine.plan
    taken = engine.training_bytes() or 0
    model = jax.eval_shape(engine.functions.build, jax.random.key(0))
    return {
        "run_dir": str(path),
        "table": str(path / reading.TABLE),
        "dataset": f"{data.name}: {len(data.train):,} train, {len(data.splits['test']):,} test,"
        f" {data.train.shape[1]} dimensions",
        "device": devices[0].device_kind,
        "devices": plan.devices,
        "batching": plan.batching,
        "runs": len(all_runs(settings)),
        "chunks": plan.chunks,
        "runs_at_once": plan.width,
        "steps": engine.steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(model)),
        "memory_mib": round((taken + plan.devices * data.train.nbytes) / 2**20),
    }
