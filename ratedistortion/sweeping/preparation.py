"""What comes before training: the plan of a sweep, new or stored, and what it will take."""

from pathlib import Path
from typing import Any

from ratedistortion import datasets, events
from ratedistortion.datasets import Dataset
from ratedistortion.engine.devices import find_devices
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.fitting import fitted_engine
from ratedistortion.engine.plan import Sweep, all_runs
from ratedistortion.engine.releases import check_release
from ratedistortion.run_directory import reading
from ratedistortion.settings import Settings
from ratedistortion.sweeping.manifest import Manifest


def prepare(
    settings: Settings, data: Dataset, manifest: Manifest | None, report: events.Report
) -> tuple[Engine | None, list[Any]]:
    """The engine of runs that have no plan yet, None where all have one; and the devices.

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
    parts = manifest.parts() if manifest else []
    devices = find_devices(settings, report, max([1, *(part.plan.devices for part in parts)]))
    check_release(devices, report)
    if manifest:
        manifest.check_surroundings(data, devices, report)
    missing = manifest.missing() if manifest else all_runs(settings)
    if not missing:
        return None, devices
    report(events.Compiling("training"))
    return fitted_engine(settings, data, missing, devices), devices


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
    manifest = manifest and manifest.with_grid(settings)
    data = datasets.load(settings)
    report(events.DataRead(data.description))
    engine, devices = prepare(settings, data, manifest, report)
    if engine is None and manifest is not None:
        part = manifest.parts()[-1]
        engine = Engine(Sweep(settings, data, part.plan, part.runs), devices)
    assert engine is not None
    plan = engine.sweep.plan
    kept = len(all_runs(settings)) if settings.keep_models == "all" else 0
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
        "models_mib": round(kept * 4 * engine.parameters / 2**20, 1),
        "memory_mib": round((engine.training_bytes() + plan.devices * data.train.nbytes) / 2**20),
    }
