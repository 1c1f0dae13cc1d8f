"""What the curves of one or more tables say, as `rd-plot --json` prints it."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas

from ratedistortion import curve
from ratedistortion.errors import RateDistortionError, SettingsError
from ratedistortion.figures.inputs import Table, gather, need_distortion
from ratedistortion.theory import known_entropy, semantic_rate

# The names that JSON has for a point of a curve, a suspect run, and a comparison, in their order.
_POINT = (
    *("beta", "seeds", "rate", "rate_se", "distortion", "distortion_se", "on_hull"),
    *("slope", "slope_se", "slope_over_minus_beta", "bend", "regret", "regret_se"),
    *("verdict", "regime"),
)
_SUSPECT = ("beta", "seed", "failed_checks")
_COMPARISON = ("bd_rate_percent", "bd_distortion", "rates", "distortions")


def summarise(
    tables: Mapping[str, pandas.DataFrame],
    units: str,
    split: str,
    target_rate: float | None = None,
    target_distortion: float | None = None,
) -> dict[str, Any]:
    """Everything that the curves say, as JSON can hold it: None stands for a missing value.

    Args:
        tables: Label -> table, in nats.
        units: Unit of the returned numbers and of the targets: nats, bits or bits-per-dim. Betas,
            slopes and regimes are the same in all of them.
        split: train or test.
        target_rate: R at which to look up beta and D, in `units`.
        target_distortion: D at which to look up beta and R, in `units`.

    Returns:
        `units`, `split`, `runs` (one object for each table: `points` and the findings) and
        `comparison`, of the second table with the first if there are two. Of points of a CSV file
        no `images`, and no errors but those that the file has.

    Raises:
        SettingsError: If a table has no rows of the split, or a target lies outside a curve.
        RateDistortionError: If no run of a table is ok.
    """
    inputs = gather(tables, units, split)
    need_distortion(inputs)
    analyses, runs = [], []
    for label, table in inputs.tables.items():
        if table.rows.empty:
            left = _nothing_left(table)
            raise RateDistortionError(f"{label}: every run of the split {split} {left}.")
        analysis = curve.analyse(table.rows)
        places: dict[str, Any] = {"at_rate": None, "at_distortion": None}
        try:
            if target_rate is not None:
                places["at_rate"] = curve.at_rate(analysis.points, target_rate)._asdict()
            if target_distortion is not None:
                found = curve.at_distortion(analysis.points, target_distortion)
                places["at_distortion"] = found._asdict()
        except SettingsError as error:
            raise SettingsError(f"{label}: {error}" if len(tables) > 1 else str(error)) from error
        objection = curve.objection(table.rows)
        head = {
            "run": label,
            "dataset": table.dataset or None,
            "images": table.examples,
            "diverged": table.diverged,
            "suspects": table.suspects.reindex(columns=list(_SUSPECT)).to_dict("records"),
            "no_verdict": objection,
            "likelihood_scales": table.likelihood_scales(),
            "error_over_variance": _error_over_variance(table.rows),
        }
        found = _found(analysis, objection is None, table.rows)
        runs.append(head | found | _known(table) | places)
        analyses.append(analysis)
    comparison = _comparison(list(inputs.tables.values()), analyses)
    return _plain({"units": inputs.units, "split": split, "runs": runs, "comparison": comparison})


def _nothing_left(table: Table) -> str:
    """What became of the rows of a split if none of them is ok."""
    if table.suspects.empty:
        return "diverged"
    if table.diverged:
        return "diverged or is suspect (see the column failed_checks)"
    return "is suspect: its numbers contradict each other (see the column failed_checks)"


def _found(analysis: curve.Analysis, judged: bool, rows: pandas.DataFrame) -> dict[str, Any]:
    points, slopes, regimes = analysis.points, analysis.slopes, analysis.regimes
    columns = points._asdict() | slopes._asdict()
    # A curve counts a missing standard error as 0, which must not be shown as if it were known.
    for name in ("rate_se", "distortion_se"):
        missing = (columns[name] == 0) & rows[name].hasnans
        columns[name] = np.where(missing, np.nan, columns[name])
        if missing.any():  # slopes rest on several points
            columns["slope_se"] = columns["regret_se"] = np.nan
    columns["on_hull"] = np.isin(np.arange(len(points.beta)), analysis.hull)
    columns["slope_over_minus_beta"] = slopes.ratio
    columns["verdict"] = slopes.verdict if judged else None
    columns["regime"] = regimes.regime if regimes else None
    counts = Counter(slopes.verdict)
    return {
        "points": pandas.DataFrame(columns, columns=list(_POINT)).to_dict("records"),
        "verdicts": {name: counts[name] for name in curve.VERDICTS} if judged else None,
        "best": analysis.best._asdict(),
        "knee_beta": regimes and regimes.knee,
        "semantic_betas": regimes and regimes.semantic,
        "both_fast_betas": regimes and regimes.both_fast,
    }


def _known(table: Table) -> dict[str, Any]:
    entropy, rate = known_entropy(table.settings()), semantic_rate(table.settings())
    return {
        "entropy": entropy and table.factor * entropy[0],
        "entropy_se": entropy and table.factor * entropy[1],
        "semantic_rate": rate and table.factor * rate,
    }


def _comparison(tables: list[Table], analyses: list[curve.Analysis]) -> dict[str, Any] | None:
    """The comparison of two tables; `undefined` says why there is none."""
    if len(tables) != 2:
        return None
    if _differ(*tables):
        return {"undefined": "they have different data, likelihoods or scales: D is not the same."}
    try:
        found = curve.compare(*(analysis.points for analysis in analyses))
    except SettingsError as error:
        return {"undefined": str(error)}
    found = dict(zip(_COMPARISON, found, strict=True))
    known = all(_data_sha256(table) for table in tables)
    return {"undefined": None, **found, "same_data": known or None}


def _error_over_variance(rows: pandas.DataFrame) -> float | None:
    """The largest squared error, in variances of the likelihood; None where none is known."""
    if "likelihood_scale" not in rows:
        return None
    error, scale = rows[["distortion_mse", "likelihood_scale"]].to_numpy(float).T
    found = (error / scale**2)[np.isfinite(error)]
    return float(found.max()) if len(found) else None


def _data_sha256(table: Table) -> str | None:
    """The SHA-256 of the data of a sweep; None of exported posteriors and of a CSV file."""
    return table.rows.attrs.get("ratedistortion", {}).get("data_sha256")


def _differ(one: Table, other: Table) -> bool:
    """Whether two tables say different things of what defines D, where both say something."""
    said = [_source(table) for table in (one, other)]
    if None not in (said[0]["data"], said[1]["data"]):
        said[0]["dataset"] = None  # the same data may have two names
    return any(
        None not in (mine := said[0][name], theirs := said[1][name]) and mine != theirs
        for name in said[0]
    )


def _source(table: Table) -> dict[str, Any]:
    """What a table says of what defines D; None where it says nothing."""
    rows, settings = table.rows, table.settings()
    names = [name for name in ("likelihood", "dimensions", "examples") if name in rows]
    first = {name: values[0] for name in names if (values := rows[name].dropna().tolist())}
    scale = rows["likelihood_scale"].dropna().tolist()[:1] if "likelihood_scale" in rows else []
    return {
        "data": _data_sha256(table),
        "dataset": table.dataset or None,
        "likelihood": first.get("likelihood") or None,
        "dimensions": first.get("dimensions"),
        "examples": first.get("examples"),
        "scale": "learned" if table.likelihood_scales() else scale[0] if scale else None,
        # The likelihood of the settings has the SHA-256 of code of the user's own.
        "asked": [settings.get(name) for name in ("likelihood", "scale")] if settings else None,
    }


def _plain(value: Any) -> Any:
    """The same with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
