"""Which of the models that a sweep has kept is meant; it needs no JAX."""

import math
import sys
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import pandas

from ratedistortion import curve
from ratedistortion.engine.plan import RunId
from ratedistortion.errors import RateDistortionError, RunDirectoryError, SettingsError
from ratedistortion.foreign import are_numbers, as_numpy
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.model_files import model_path
from ratedistortion.table.identity import run_key, worst_status
from ratedistortion.text import printable

_COLUMNS = ["beta", "target_rate", "seed", "rate", "distortion", "negative_elbo"]
_WORDS = ("knee", "best-elbo")
_TINY = 1e-38  # stands for a beta of 0, whose logarithm is not finite


class Kept(NamedTuple):
    """What a run directory has: `runs` as of `listing`, `rows` as of its table, `sums` of files."""

    runs: pandas.DataFrame
    rows: pandas.DataFrame
    sums: dict[str, str]


def kept(path: Path) -> Kept:
    """The runs of a run directory that are done, and their models.

    Args:
        path: The run directory; the sweep need not be finished.

    Returns:
        `runs`: one row a run, by beta or target rate, then seed: `beta`, `target_rate`, `seed`;
        `rate`, `distortion` and `negative_elbo` of the test split, in nats per image; `status`, the
        worse of both splits; `file`, None where no model was kept. `rows`: one row a run and split.
        `sums`: file -> SHA-256.

    Raises:
        RunDirectoryError: If no chunk is done, or one is damaged.
        SettingsError: If the folder is no run directory.
    """
    results = reading.read_results(path)
    if not results:
        if reading.read_manifest(path) is None:
            raise SettingsError(f"{path}: not a run directory: it has no {reading.MANIFEST}.")
        if (path / reading.TABLE).exists():
            raise RunDirectoryError(f"{path}: an older version made it, which kept no models.")
        raise reading.unfinished(path)
    rows = sorted((row for result in results for row in result["rows"]), key=run_key)
    labels = {label: s for result in results for label, s in result["models"].items()}
    sums = {str(model_path(Path(), label)): s for label, s in labels.items()}
    statuses, runs = worst_status(rows), []
    for row in rows:
        if row["split"] == "test":
            label = RunId(row["beta"], row["seed"], row["target_rate"]).label
            file = str(model_path(Path(), label)) if label in labels else None
            numbers = {name: row.get(name) for name in _COLUMNS}
            runs.append(numbers | {"status": statuses[run_key(row)], "file": file})
    kinds = dict.fromkeys((name for name in _COLUMNS if name != "seed"), float)
    return Kept(pandas.DataFrame(runs).astype(kinds), pandas.DataFrame(rows), sums)


def choose(
    path: Path,
    beta: SupportsFloat | str | None,
    seed: SupportsIndex | None,
    target_rate: SupportsFloat | None,
) -> tuple[Path, str]:
    """Chooses the nearest model; prints on standard error which one, if it is not exactly the one.

    Args:
        path: The run directory.
        beta: A number: the nearest on a logarithmic scale is taken. `knee`: that of the knee.
            `best-elbo`: that of the smallest R + D on the test split. The last two are looked for
            among the runs whose status is ok.
        seed: Of the run; None takes the best one for `best-elbo`, else the first.
        target_rate: The nearest is taken; instead of beta.

    Returns:
        The file, and the SHA-256 that it must have.

    Raises:
        RateDistortionError: If a word is asked for and no run is ok.
        RunDirectoryError: If no model was kept, or no chunk is done.
        SettingsError: If there is no such model, or nothing that can be looked for.
    """
    name, asked = ("beta", beta) if target_rate is None else ("target_rate", target_rate)
    if (beta is None) == (target_rate is None):
        raise SettingsError("load: give either beta or target_rate, and perhaps seed.")
    found = kept(path)
    runs = found.runs.loc[found.runs["file"].notna()]
    if runs.empty:
        raise RunDirectoryError(
            f"{path}: no model was kept (--keep-models none, an older version, or every run"
            " diverged): sweep in another directory to have some."
        )
    if seed is not None:
        wanted = _number("seed", seed)
        seeds = ", ".join(map(str, sorted(set(runs["seed"].tolist()))))
        runs = runs.loc[runs["seed"] == wanted]
        if runs.empty:
            raise SettingsError(f"seed: the run directory has models of seeds {seeds}: got {seed}.")
    word = asked if isinstance(asked, str) and asked in _WORDS else None
    if word:
        runs = runs.loc[runs["status"] == "ok"]
        if runs.empty:
            raise RateDistortionError(f"{path}: no run is ok, and {word} needs one.")
    if word == "best-elbo":
        run = runs.loc[runs["negative_elbo"].idxmin()].to_dict()
    else:
        number = _knee(found.rows) if word else _number(name, asked)
        run = _nearest(runs, name, number)
        if run[name] != number:
            where = "the knee is at beta" if word else f"{name} asked for:"
            _tell(f"{where} {number:g}; nearest model: {name} {run[name]:g}, seed {run['seed']}.")
    if run["status"] != "ok":
        _tell(f"{run['file']}: the run is {run['status']}: see the column failed_checks.")
    return path / run["file"], found.sums[run["file"]]


def _nearest(runs: pandas.DataFrame, name: str, asked: float) -> dict[Any, Any]:
    if runs[name].isna().to_numpy().any():
        raise SettingsError("target_rate: the sweep was of betas: give beta.")

    def scaled(value: float) -> float:
        return value if name == "target_rate" else math.log(max(value, _TINY))

    distances = [abs(scaled(value) - scaled(asked)) for value in runs[name]]
    return runs.iloc[distances.index(min(distances))].to_dict()


def _knee(rows: pandas.DataFrame) -> float:
    found = curve.analyse(rows.loc[rows["split"] == "test"]).regimes
    if found is None:
        raise SettingsError(
            "beta knee: there is none, as R or D is the same everywhere or fewer than three betas"
            " are ok: give a number."
        )
    return found.knee


def _number(name: str, asked: Any) -> float:
    """A scalar of Python, NumPy or JAX as a number."""
    words = f", {' or '.join(_WORDS)}" if name == "beta" else ""
    expected = f"{name} must be a number of at least 0{words}"
    try:
        array = as_numpy(asked)
    except ValueError as error:
        raise SettingsError(f"{expected}: got {error}.") from error
    if array.ndim == 0 and array.dtype != bool and are_numbers(array):
        # Through its shortest text: 0.1 in float32 is meant to be 0.1, and not 0.10000000149.
        number = float(str(array[()]))
        if 0 <= number < math.inf:
            return number
    raise SettingsError(f"{expected}: got {asked!r}.")


def _tell(text: str) -> None:
    if sys.stderr:
        print(printable(text), file=sys.stderr)
