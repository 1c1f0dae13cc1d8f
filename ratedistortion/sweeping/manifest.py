"""What a sweep was begun with, and whether it is continued with the same."""

import dataclasses
import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from ratedistortion import datasets
from ratedistortion.datasets import Dataset
from ratedistortion.engine.plan import Plan
from ratedistortion.errors import DatasetError, RunDirectoryError
from ratedistortion.run_directory import reading
from ratedistortion.settings import Settings


def make_manifest(
    settings: Settings,
    data: Dataset,
    plan: Plan,
    devices: list[Any],
) -> dict[str, Any]:
    """The manifest of a new run directory.

    Args:
        settings: The sweep.
        data: Its data set.
        plan: Its chunks.
        devices: What it is computed on.
    """
    packages = ("ratedistortion", "jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "schema": reading.MANIFEST_VERSION,
        "settings": settings.as_json(),
        "settings_sha256": settings.sha256(),
        "plan": dataclasses.asdict(plan),
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in packages},
        },
        "device": devices[0].device_kind,
        "data_sha256": data.sha256,
        "data_files": data.stamps,
    }


def check_surroundings(
    manifest: dict[str, Any],
    data: Dataset,
    plan: Plan,
    devices: list[Any],
    report: Callable[[Mapping[str, Any]], None],
) -> None:
    """A sweep is continued on the same data; another machine or library is worth a word."""
    if manifest["data_sha256"] != data.sha256:
        raise _changed(manifest, data)
    if len(devices) < plan.devices:
        raise RunDirectoryError(
            f"this sweep was begun on {plan.devices} devices and {len(devices)} are at hand:"
            " continue it where it was begun, or use another directory."
        )
    now = {f"jax {metadata.version('jax')}", devices[0].device_kind}
    then = {f"jax {manifest['versions'].get('jax')}", manifest["device"]}
    if now != then:
        report({
            "event": "warning",
            "text": f"begun with {', '.join(sorted(then - now))}, continued with"
            f" {', '.join(sorted(now - then))}: the last digits can differ.",
        })  # fmt: skip


def check_data(
    manifest: Mapping[str, Any],
    settings: Settings,
    report: Callable[[Mapping[str, Any]], None],
) -> None:
    """The table of a finished sweep is shown for the same data only; needs no JAX.

    Nothing is read where size and time of every file are as they were. Data that cannot be read
    are worth a word: the table may well have outlived them.

    Args:
        manifest: That of the run directory.
        settings: Where the data are, and how they are read.
        report: Told where the data cannot be compared.

    Raises:
        RunDirectoryError: If the data are others.
    """
    stamps = datasets.stamps(settings)
    if stamps is not None and stamps == manifest.get("data_files"):
        return
    try:
        data = datasets.load(dataclasses.replace(settings, download=False))
    except (DatasetError, OSError) as error:
        text = f"the data were not compared with those of this sweep: {error}"
        report({"event": "warning", "text": text})
        return
    if manifest["data_sha256"] != data.sha256:
        raise _changed(manifest, data)


def _changed(manifest: Mapping[str, Any], data: Dataset) -> RunDirectoryError:
    return RunDirectoryError(
        f"the data set {data.name} has changed since this sweep began: SHA-256"
        f" {manifest['data_sha256'][:12]}… then, {data.sha256[:12]}… now; restore it, or use"
        " another directory."
    )
