"""The table of what was exported: one row for each set of posteriors."""

import math
import operator
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, SupportsIndex

from ratedistortion.errors import SettingsError
from ratedistortion.exported.checked import NAMES, Exported, check
from ratedistortion.exported.measure import measure
from ratedistortion.exported.sources import from_path, from_program, same
from ratedistortion.files import make_folders, write_file
from ratedistortion.measuring.consistency import as_columns
from ratedistortion.run_directory import reading
from ratedistortion.table import parquet
from ratedistortion.table.columns import check_names

# Largest difference between a rate and what the exporting program says of it: nats, and a share.
_RATE, _RATE_SHARE = 1e-3, 1e-3


def measured_table(
    sources: Sequence[Mapping[str, Any] | str | Path],
    given: Mapping[str, Any],
    codes: SupportsIndex,
    seed: SupportsIndex,
) -> bytes:
    """Measures everything that was exported.

    Args:
        sources: Files, folders, or mappings of arrays by name.
        given: What holds for all of them, by the same names.
        codes: As of `measure`.
        seed: As of `measure`.

    Returns:
        The bytes of a table, as `table.parquet.write` makes them.

    Raises:
        SettingsError: As of `check`; or if two sources are one point.
        RunDirectoryError: If a file of `--save-posteriors` is not as the sweep wrote it.
    """
    codes, seed = (_whole(*each) for each in (("codes", codes, 1), ("draw_seed", seed, 0)))
    rows, places, unused = [], {}, set()
    for n, source in enumerate(sources):
        if not isinstance(source, Mapping | str | Path):
            raise SettingsError(
                "expected arrays by name, such as mean=..., or a path: got"
                f" {type(source).__name__}."
            )
        if isinstance(source, Mapping):
            where = f"source {n}" if len(sources) > 1 else "measure"
            arrays = from_program(source, where)
        else:
            where, arrays = str(source), from_path(Path(source))
        for name, value in from_program(given, "options").items():
            if name != "label" and name in arrays and not same(arrays[name], value):
                raise SettingsError(
                    f"{where}: it says {name} {arrays[name]}, the option {value}: leave one out."
                )
            arrays[name] = value
        if unknown := sorted(arrays.keys() - set(NAMES)):
            if isinstance(source, Mapping):
                names = ", ".join(NAMES)
                raise SettingsError(
                    f"{where}: {unknown[0]} is not a known name; known are {names}."
                )
            unused |= set(unknown)
        row = _row(check(arrays, where), codes, seed)
        point = tuple(row[name] for name in ("label", "split", "beta", "target_rate", "seed"))
        if point in places:
            raise SettingsError(
                f"{where} and {places[point]} have the same label, split, beta, target rate and"
                " seed: give one of them another label."
            )
        places[point] = where
        rows.append(row)
    version = metadata.version("ratedistortion")
    measured = {"version": version, "codes": codes, "seed": seed, "unused": sorted(unused)}
    return parquet.write(rows, {"measured": measured, "settings": {}})


def write(output: Path, data: bytes) -> Path:
    """Writes a table, but over no other file than a table of this kind.

    Args:
        output: A file whose name ends in .parquet, or a folder, which is made.
        data: The table.

    Returns:
        The file.

    Raises:
        SettingsError: If there is something else, or it cannot be written.
    """
    if output.suffix in (".csv", ".npz", ".json", ".png"):
        raise SettingsError(f"{output}: expected a name that ends in .parquet, or a folder.")
    path = output if output.suffix == ".parquet" else output / reading.TABLE
    try:
        if (path.parent / reading.MANIFEST).exists():
            raise SettingsError(f"{output} is a run directory of rd-sweep: choose another place.")
        if path.exists() and "measured" not in parquet.read(path).attrs["ratedistortion"]:
            raise SettingsError(f"{path} is no table of rd-measure: choose another place.")
        make_folders(path.parent)
        write_file(path, data)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}.") from error
    return path


def _whole(name: str, value: SupportsIndex, least: int) -> int:
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    number = operator.index(value) if whole else -1
    if not least <= number < 1 << 32:
        raise SettingsError(f"{name} must be a whole number of at least {least}: got {value!r}.")
    return number


def _row(exported: Exported, codes: int, seed: int) -> dict[str, Any]:
    measured, facts, difference = measure(exported, codes, seed)
    columns = as_columns(measured, facts)
    known, full = exported.facts, exported.scale is not None and exported.scale.ndim == 3
    for name, value in columns.items():
        if isinstance(value, float) and math.isinf(value):
            raise SettingsError(
                f"{exported.where}: {name} is infinite: are means and scales right?"
            )
    failed = list(dict.fromkeys((columns["failed_checks"] or "").split("; ")))
    if exported.distortion is None:
        failed = [text for text in failed if text not in _NEED_DISTORTION]
    notes = list(exported.notes)
    if difference > _RATE + _RATE_SHARE * abs(float(measured.rate.value)):
        notes.append(f"rate differs from KL(q(z|x) || p(z)) by up to {difference:.3g} nats")
    failed = [text for text in [*notes, *failed] if text]
    columns |= {
        "label": known["label"],
        "dataset": known["dataset"],
        "split": known["split"],
        "beta": known["beta"],
        "target_rate": known["target_rate"],
        "seed": int(known["seed"] or 0),
        "encoder": "matrix" if exported.mean is None else "full-covariance" if full else "gaussian",
        "decoder": "",
        "prior": exported.prior.name,
        "likelihood": known["likelihood"],
        "latents": facts.latents,
        "dimensions": known["dimensions"],
        "examples": facts.images,
        "log_examples": math.log(facts.images),
        "distinct_examples": exported.distinct,
        "codes": facts.codes if exported.log_q is None else len(exported.log_q),
        "information_kind": "exact",
        "status": "suspect" if failed else "ok",
        "failed_checks": "; ".join(failed) or None,
    }
    if exported.mean is None:
        columns |= {"active_units": None, "latents": None}
    return {name: columns[name] for name in check_names(*columns)}


# What fails where no distortion was exported.
_NEED_DISTORTION = tuple(f"{name} is missing" for name in ("distortion", "negative_elbo"))
