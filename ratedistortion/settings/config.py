"""Settings from TOML, options and manifests, and how two settings differ."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

from ratedistortion.errors import RunDirectoryError, SettingsError
from ratedistortion.settings import code
from ratedistortion.settings.fields import Member
from ratedistortion.settings.settings import ENGINE_FIELDS, FIELDS, Settings


def read_config(path: Path) -> dict[str, Any]:
    """The table of a TOML file of settings.

    Args:
        path: The file.

    Returns:
        Name -> value as the file has it, with underscores for hyphens in the names.

    Raises:
        SettingsError: If the file cannot be read or is not TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # also of numbers with 5,000 digits
        raise SettingsError(f"config: cannot read {path}: {error}.") from error
    return {name.replace("-", "_"): value for name, value in values.items()}


def from_mapping(values: dict[str, Any], source: str) -> Settings:
    """Settings from a mapping of field names, such as a TOML table or a manifest.

    Args:
        values: Field name -> value, as `Settings` takes it.
        source: What to call the mapping in an error.

    Returns:
        The settings, with defaults where a field is missing.

    Raises:
        SettingsError: If a name is unknown or a value cannot be used.
    """
    for name in values:
        if name not in FIELDS:
            import difflib

            close = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise SettingsError(f"{source}: no setting is called {name!r}{hint}")
    checked = {name: FIELDS[name].check(name, value) for name, value in values.items()}
    return Settings(**checked)


def in_todays_terms(stored: dict[str, Any]) -> dict[str, Any]:
    """Stored settings of any version, with what an older one meant by leaving a field out.

    Args:
        stored: The settings of a manifest.

    Returns:
        The same with `first`, where 0.1.0 took the first of `max_examples`.

    Raises:
        RunDirectoryError: If they name code without its SHA-256: it would be taken for code that
            the user has named.
    """
    for name, value in stored.items():
        if name in FIELDS and isinstance(FIELDS[name].kind, Member):
            if code.is_own(str(value)) and not code.is_stored(str(value)):
                raise RunDirectoryError(
                    f"manifest.json: it is damaged ({name} {value!r} has no SHA-256); restore it."
                )
    if stored.get("max_examples") is not None and "first" not in stored:
        return stored | {"first": True}
    return stored


def differences(stored: Settings, asked: Settings) -> list[str]:
    """What decides the numbers and differs between two settings.

    Args:
        stored: Settings of a run directory.
        asked: Settings of a command that would continue it.

    Returns:
        One line for each such field, with both values; `ENGINE_FIELDS` may differ.
    """
    before, after = stored.as_json(), asked.as_json()
    # Left to the data, it is one of these two; that the data agree is checked by their hash.
    ways = {before["binarize"], after["binarize"]}
    if ways in ({None, "none"}, {None, "dynamic"}):
        after["binarize"] = before["binarize"]
    differing = [
        name for name in before if before[name] != after[name] and name not in ENGINE_FIELDS
    ]
    return [_difference(name, before[name], after[name]) for name in differing]


def _difference(name: str, stored: Any, asked: Any) -> str:
    if isinstance(FIELDS[name].kind, Member):
        then, now = (value.rpartition("@sha256:")[2][:12] for value in (stored, asked))
        stored, asked = code.shown(stored), code.shown(asked)
        if stored == asked:
            file = stored.rpartition(":")[0]
            return f"{name}: restore {file}, which has changed: SHA-256 {then}… then, {now}… now"
    return f"{name}: {json.dumps(stored)} stored, {json.dumps(asked)} asked for"


def extended(stored: Settings, asked: Settings) -> Settings:
    """Settings whose grid is that of both.

    Args:
        stored: Settings of a run directory.
        asked: The same settings, but perhaps for betas, target rates and seeds.

    Returns:
        The settings of a sweep with the betas or target rates, and the seeds, of both, carried out
        as the second asks (`ENGINE_FIELDS`). A grid that
        rises or falls goes on doing so; to another the new points are appended.

    Raises:
        SettingsError: If one has betas and the other target rates, or seeds between are missing.
    """
    name = "target_rates" if stored.target_rates else "betas"
    if bool(stored.target_rates) != bool(asked.target_rates):
        raise SettingsError(f"extend: the run directory has {name}: extend these.")
    before, after = getattr(stored, name), getattr(asked, name)
    grid = (*before, *(point for point in after if point not in before))
    for falls in (False, True):
        if list(before) == sorted(before, reverse=falls):
            grid = tuple(sorted(grid, reverse=falls))
            break
    seeds = stored.seed_range, asked.seed_range
    first, end = min(each.start for each in seeds), max(each.stop for each in seeds)
    if sum(map(len, seeds)) < end - first:
        low, high = sorted(seeds, key=lambda each: each.start)
        raise SettingsError(
            f"extend: seeds must follow one another: {low.stop}:{high.start} would be missing."
        )
    own = {field: getattr(asked, field) for field in ENGINE_FIELDS}
    return dataclasses.replace(stored, **own, **{name: grid, "seeds": f"{first}:{end}"})
