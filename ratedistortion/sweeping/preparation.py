"""What comes before training: the plan of a sweep, new or stored, and what it will take."""

from pathlib import Path
from typing import Any

from ratedistortion import datasets, events
from ratedistortion.datasets import Dataset
from ratedistortion.engine.devices import find_devices
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.fitting import fitted_engine
from ratedistortion.engine.plan import Sweep, stored_plan
from ratedistortion.engine.releases import check_release
from ratedistortion.run_directory import reading
from ratedistortion.settings import Settings
from ratedistortion.sweeping.manifest import Manifest


def prepare(
    settings: Settings, data: Dataset, manifest: Manifest | None, report: events.Report
) -> tuple[Engine, list[Any]]:
    """The engine of a new sweep, or of one that goes on as its manifest says; and the devices.

    Args:
        settings: The sweep.
        data: Its data set.
        manifest: That of its run directory, if there is one.
        report: Told that training is compiled, and of what is worth a warning.

    Raises:
        RunDirectoryError: If the manifest is damaged, or of other data or more devices.
        OutOfMemoryError: If not even one run fits.
        SettingsError: If the devices, or the release of JAX, cannot be used.
    """
    plan = stored_plan(manifest.values["plan"], settings) if manifest else None
    devices = find_devices(settings, report, plan.devices if plan else 1)
    check_release(devices, report)
    if manifest and plan:
        manifest.check_surroundings(data, plan, devices, report)
    report(events.Compiling("training"))
    if plan is None:
        return fitted_engine(settings, data, devices), devices
    return Engine(Sweep(settings, data, plan), devices), devices


def planned(
    settings: Settings, path: Path, manifest: Manifest | None, report: events.Report
) -> dict[str, Any]:
    """What a sweep will take, by name; nothing is trained, timed or written.

    Args:
        settings: The sweep.
        path: Its run directory, which need not exist.
        manifest: That of the directory, if there is one.
        report: As in `prepare`.
    """
    data = datasets.load(settings)
    report(events.DataRead(data.description))
    engine, devices = prepare(settings, data, manifest, report)
    plan = engine.sweep.plan
    return {
        "run_dir": str(path),
        "table": str(path / reading.TABLE),
        "data": data.description,
        "device": devices[0].device_kind,
        "devices": plan.devices,
        "batching": plan.batching,
        "runs": len(engine.sweep.runs),
        "chunks": plan.chunks,
        "runs_at_once": plan.width,
        "steps": engine.steps,
        "parameters": engine.parameters,
        "memory_mib": round((engine.training_bytes() + plan.devices * data.train.nbytes) / 2**20),
    }
