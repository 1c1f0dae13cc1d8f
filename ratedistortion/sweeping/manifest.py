"""What a sweep was begun with, and whether it is continued with the same."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ratedistortion import datasets, events
from ratedistortion.datasets import Dataset
from ratedistortion.engine.plan import Plan, RunId, Sweep, all_runs, stored_plan
from ratedistortion.errors import DatasetError, RunDirectoryError, SettingsError
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.sealed import sha256
from ratedistortion.settings import (
    MEASURING_FIELDS,
    Settings,
    differences,
    from_mapping,
    in_todays_terms,
    values_sha256,
)
from ratedistortion.sweeping.surroundings import surroundings

# Settings that say which runs there are: a run does not depend on the others.
_GRID = ("betas", "target_rates", "seeds")


class Part(NamedTuple):
    """Runs that were planned together: all of a sweep, or what `--extend` added to it.

    Attributes:
        runs: In the order of the chunks.
        plan: How they share the devices.
        first: The number of their first chunk.
        sweep_id: What their files belong to: a hash of all that decides their numbers.
    """

    runs: tuple[RunId, ...]
    plan: Plan
    first: int
    sweep_id: str

    @property
    def numbers(self) -> range:
        """The numbers of its chunks."""
        return range(self.first, self.first + self.plan.chunks)


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
        """That of a new sweep, without a part yet.

        Args:
            path: Its run directory.
            sweep: What will be computed.
            devices: What it is computed on.
        """
        values = {
            "schema": reading.MANIFEST_VERSION,
            "settings": sweep.settings.as_json(),
            "parts": [],
            **surroundings(devices),
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
        manifest = cls(path, values, settings)
        if manifest.is_older:
            if not (path / reading.TABLE).exists():
                raise manifest.older()
            values["parts"][0]["runs"] = _stored_runs(all_runs(settings))
        return manifest

    @property
    def is_older(self) -> bool:
        """Whether an older version wrote it, which computed other numbers."""
        return self.values["schema"] < reading.MANIFEST_VERSION

    def older(self) -> RunDirectoryError:
        """What to raise where an older version's sweep would have to go on."""
        return RunDirectoryError(
            f"{self.path} was begun by an older version, whose numbers would not agree with this"
            " one's: use another directory, or finish it with the older version."
        )

    def parts(self) -> list[Part]:
        """The runs of the sweep, as they were planned.

        Raises:
            RunDirectoryError: If they are not those of the settings.
        """
        parts, first = [], 0
        try:
            for values in self.values["parts"]:
                runs = tuple(RunId(*run) for run in values["runs"])
                plan = stored_plan(values["plan"], len(runs), self.settings)
                parts.append(Part(runs, plan, first, values.get("sweep", "")))
                first += plan.chunks
        except (TypeError, KeyError) as error:
            raise RunDirectoryError(
                f"{self.path / reading.MANIFEST}: it is damaged ({error}); restore it."
            ) from error
        return parts

    def missing(self) -> tuple[RunId, ...]:
        """The runs of the settings that no part has."""
        planned = {run for part in self.parts() for run in part.runs}
        return tuple(run for run in all_runs(self.settings) if run not in planned)

    def with_grid(self, settings: Settings) -> "Manifest":
        """The same with another grid; all other settings stay as they are stored.

        Args:
            settings: Used are betas, target rates and seeds.
        """
        grid = {name: getattr(settings, name) for name in _GRID}
        settings = dataclasses.replace(self.settings, **grid)
        values = self.values | {"settings": settings.as_json()}
        return dataclasses.replace(self, values=values, settings=settings)

    def with_measuring(self, settings: Settings) -> "Manifest":
        """The same with other settings of measuring; all others stay as they are stored.

        Args:
            settings: Used are `MEASURING_FIELDS`.
        """
        changed = {name: getattr(settings, name) for name in MEASURING_FIELDS}
        settings = dataclasses.replace(self.settings, **changed)
        if settings == self.settings:
            return self
        values: dict[str, Any] = self.values | {"settings": settings.as_json()}
        manifest = dataclasses.replace(self, values=values, settings=settings)
        parts = [{name: part[name] for name in ("runs", "plan")} for part in values["parts"]]
        values["parts"] = [part | {"sweep": manifest._sweep_id(part)} for part in parts]
        return manifest

    def with_part(self, runs: Sequence[RunId], plan: Plan) -> "Manifest":
        """The same with a new part, which replaces one of the same runs.

        Args:
            runs: In the order of the chunks.
            plan: How they share the devices.
        """
        part: dict[str, Any] = {"runs": _stored_runs(runs), "plan": dataclasses.asdict(plan)}
        part["sweep"] = self._sweep_id(part)
        others = [each for each in self.values["parts"] if each["runs"] != part["runs"]]
        return dataclasses.replace(self, values={**self.values, "parts": [*others, part]})

    def metadata(self, continued_with: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """What a table keeps of it.

        Args:
            continued_with: Versions and devices that other chunks were computed with.
        """
        names = ("settings", "versions", "device", "variables", "data", "data_sha256")
        kept = {name: self.values[name] for name in names if name in self.values}
        plans = [part["plan"] for part in self.values["parts"]]
        kept |= {"plan": plans[0]} if len(plans) == 1 else {"plans": plans}
        if continued_with:
            kept["continued_with"] = list(continued_with)
        return {**kept, "loss": self.settings.loss()}

    def _sweep_id(self, part: dict[str, Any]) -> str:
        settings = self.values["settings"].items()
        identity = {
            "schema": self.values["schema"],
            "settings": values_sha256({name: v for name, v in settings if name not in _GRID}),
            "data_sha256": self.values["data_sha256"],
            **part,
        }
        return sha256(json.dumps(identity, sort_keys=True).encode())

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

    def check_surroundings(self, data: Dataset, devices: list[Any], report: events.Report) -> None:
        """Refuses other data or too few devices; another machine or library is worth a warning.

        Args:
            data: What is at hand now.
            devices: What is at hand now.
            report: Told of what may change the last digits.

        Raises:
            RunDirectoryError: If the data differ, or there are fewer devices than a plan has.
        """
        self._check_data(data)
        needed = max(part.plan.devices for part in self.parts())
        if len(devices) < needed:
            raise RunDirectoryError(
                f"this sweep was begun on {needed} devices and {len(devices)} are at hand:"
                " continue it where it was begun, or use another directory."
            )
        now, then = (
            {f"jax {values['versions'].get('jax')}", values["device"]}
            | {f"{name}={value}" for name, value in values["variables"].items()}
            for values in (surroundings(devices), self.values)
        )
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
        if self.is_older and self.values["data_sha256"] != data.sha256:
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


def _stored_runs(runs: Sequence[RunId]) -> list[list[Any]]:
    return [[run.beta, run.seed, run.target_rate] for run in runs]
