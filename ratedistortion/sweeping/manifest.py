"""What a sweep was begun with, and whether it is continued with the same."""

import dataclasses
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from ratedistortion import datasets, events
from ratedistortion.datasets import Dataset
from ratedistortion.engine.plan import Plan, Sweep
from ratedistortion.errors import DatasetError, RunDirectoryError, SettingsError
from ratedistortion.run_directory import reading
from ratedistortion.settings import (
    Settings,
    differences,
    from_mapping,
    in_todays_terms,
    values_sha256,
)

_PACKAGES = ("ratedistortion", "jax", "jaxlib", "flax", "optax", "numpy")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The identity of a run directory; it needs no JAX.

    Attributes:
        path: The run directory.
        values: What `manifest.json` holds.
        settings: Those that it holds.
    """

    path: Path
    values: dict[str, Any]
    settings: Settings

    @classmethod
    def make(cls, path: Path, sweep: Sweep, devices: list[Any]) -> "Manifest":
        """That of a new sweep.

        Args:
            path: Its run directory.
            sweep: What will be computed.
            devices: What it is computed on.
        """
        values = {
            "schema": reading.MANIFEST_VERSION,
            "settings": sweep.settings.as_json(),
            "settings_sha256": sweep.settings.sha256(),
            "plan": dataclasses.asdict(sweep.plan),
            "versions": {
                "python": platform.python_version(),
                **{package: metadata.version(package) for package in _PACKAGES},
            },
            "device": devices[0].device_kind,
            "data": sweep.data.description,
            "data_sha256": sweep.data.sha256,
            "data_files": sweep.data.stamps,
        }
        return cls(path, values, sweep.settings)

    @classmethod
    def read(cls, path: Path) -> "Manifest | None":
        """That of a run directory, or None where there is none yet.

        Args:
            path: The run directory.

        Raises:
            RunDirectoryError: If it is damaged, of a newer version, or of an older version and
                not finished: half of its numbers would not agree with the others.
            SettingsError: If there can be no directory of that name.
        """
        values = reading.read_manifest(path)
        if values is None:
            return None
        file = path / reading.MANIFEST
        try:
            settings = from_mapping(in_todays_terms(values["settings"]), "settings")
        except SettingsError as error:
            raise RunDirectoryError(f"{file}: it is damaged ({error}); restore it.") from error
        if values_sha256(values["settings"]) != values["settings_sha256"]:
            raise RunDirectoryError(
                f"{file}: it is damaged (the settings' SHA-256 differs); restore it."
            )
        if values["schema"] < reading.MANIFEST_VERSION and not (path / reading.TABLE).exists():
            raise RunDirectoryError(
                f"{path} was begun by an older version, whose numbers would not agree with this"
                " one's: use another directory, or finish it with the older version."
            )
        return cls(path, values, settings)

    def with_plan(self, plan: Plan) -> "Manifest":
        """The same with another plan.

        Args:
            plan: How the runs share the devices from now on.
        """
        return dataclasses.replace(self, values={**self.values, "plan": dataclasses.asdict(plan)})

    def metadata(self) -> dict[str, Any]:
        """What a table keeps of it."""
        names = ("settings", "versions", "device", "data", "data_sha256", "plan")
        kept = {name: self.values[name] for name in names if name in self.values}
        return {**kept, "loss": self.settings.loss()}

    def check_settings(self, settings: Settings) -> None:
        """Refuses settings that would give other numbers than the stored ones.

        Args:
            settings: What is asked for now.

        Raises:
            RunDirectoryError: Naming every field that differs.
        """
        if changed := differences(self.settings, settings):
            raise RunDirectoryError(
                f"{self.path} belongs to another configuration: "
                + "; ".join(changed)
                + ". Use another directory, or the stored values."
            )

    def check_surroundings(
        self, data: Dataset, plan: Plan, devices: list[Any], report: events.Report
    ) -> None:
        """Refuses other data or too few devices; another machine or library is worth a warning.

        Args:
            data: What is at hand now.
            plan: That of the manifest.
            devices: What is at hand now.
            report: Told of what may change the last digits.

        Raises:
            RunDirectoryError: If the data differ, or there are fewer devices than the plan has.
        """
        self._check_data(data)
        if len(devices) < plan.devices:
            raise RunDirectoryError(
                f"this sweep was begun on {plan.devices} devices and {len(devices)} are at hand:"
                " continue it where it was begun, or use another directory."
            )
        now = {f"jax {metadata.version('jax')}", devices[0].device_kind}
        then = {f"jax {self.values['versions'].get('jax')}", self.values["device"]}
        if now != then:
            report(
                events.Warned(
                    f"begun with {', '.join(sorted(then - now))}, continued with"
                    f" {', '.join(sorted(now - then))}: the last digits can differ."
                )
            )

    def check_data(self, settings: Settings, report: events.Report) -> None:
        """Refuses to show the table of a finished sweep where its data have changed since.

        Nothing is read where size and time of every file are as they were. Data that cannot be
        read are worth a warning only: the table may have outlived them.

        Args:
            settings: Where the data are, and how they are read.
            report: Told where the data cannot be compared.

        Raises:
            RunDirectoryError: If the data are others.
        """
        stamps = datasets.stamps(settings)
        if stamps is not None and stamps == self.values.get("data_files"):
            return
        try:
            data = datasets.load(dataclasses.replace(settings, download=False))
        except (DatasetError, OSError) as error:
            text = f"the data were not compared with those of this sweep: {error}"
            report(events.Warned(text))
            return
        older = self.values["schema"] < reading.MANIFEST_VERSION
        if older and self.values["data_sha256"] != data.sha256:
            text = "an older version read the data in another way: they were not compared."
            report(events.Warned(text))
            return
        self._check_data(data)

    def _check_data(self, data: Dataset) -> None:
        if self.values["data_sha256"] != data.sha256:
            raise RunDirectoryError(
                f"the data set {data.name} has changed since this sweep began: SHA-256"
                f" {self.values['data_sha256'][:12]}… then, {data.sha256[:12]}… now; restore it,"
                " or use another directory."
            )
