"""The words of `rd-plot --summary`: what `curve_summary` found, as a terminal shows it."""

import math
from collections.abc import Mapping
from typing import Any

from ratedistortion import curve
from ratedistortion.cli.numbers import aligned, number, with_error
from ratedistortion.table.units import unit_words
from ratedistortion.text import printable

# Squared error, in variances of a likelihood whose scale was learned, that is worth a word.
_MAX_ERROR = 4


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary as a terminal shows it: for each run a table, and findings in words.

    Args:
        summary: What `summarise` returned.

    Returns:
        Lines without a newline at the end.
    """
    digits = 4 if summary["units"] == unit_words("bits-per-dim") else 2
    parts = []
    for run in summary["runs"]:
        about = [printable(run["dataset"])] if run["dataset"] else []
        if run["images"] is not None:
            about.append(f"{run['images']:,} {summary['split']} images")
        title = f"{printable(run['run'])}: {', '.join([*about, summary['units']])}"
        parts += [[title, *_table(run, digits)], _findings(run, digits)]
    if comparison := summary["comparison"]:
        parts.append(_compared(comparison, summary, digits))
    return "\n\n".join("\n".join(lines) for lines in parts)


def _table(run: Mapping[str, Any], digits: int) -> list[str]:
    header = ["beta", "seeds", "R", "D", "R + D", "dD/dR", "/ -beta", "verdict", "regime"]
    rows = [
        [
            "-" if point["beta"] is None else f"{point['beta']:.4g}",
            str(point["seeds"]),
            with_error(point["rate"], point["rate_se"], digits),
            with_error(point["distortion"], point["distortion_se"], digits),
            number(point["rate"] + point["distortion"], digits),
            _slope(point),
            number(point["slope_over_minus_beta"], 3),
            point["verdict"] or "-",
            point["regime"] or "-",
        ]
        for point in run["points"]
    ]
    return aligned([header, *rows], words=2)


def _slope(point: Mapping[str, Any]) -> str:
    if point["slope"] is None:
        return "-"
    error = "" if point["slope_se"] is None else f" ±{point['slope_se']:.2g}"
    return f"{point['slope']:z.3g}{error}"


def _who(run: Mapping[str, Any]) -> str:
    """Beta and seed of a run, as far as they are known."""
    known = [] if run["beta"] is None else [f"beta {run['beta']:.4g}"]
    known += [] if run["seed"] is None else [f"seed {run['seed']}"]
    return ", ".join(known) or "a point without a beta"


def _findings(run: Mapping[str, Any], digits: int) -> list[str]:
    best = run["best"]
    lines = [
        f"Best -ELBO: {with_error(best['negative_elbo'], best['negative_elbo_se'], digits)} at "
        f"{_who(best)}."
    ]
    if run["entropy"] is not None:
        excess = best["negative_elbo"] - run["entropy"]
        error = math.hypot(best["negative_elbo_se"], run["entropy_se"])
        lines.append(
            f"Entropy H of the source: {run['entropy']:z.{digits}f}; the best R + D is "
            f"{excess:+z.{digits}f} ±{error:.{digits}f} from it."
        )
    if run["semantic_rate"] is not None:
        lines.append(f"Semantic rate of the source, log K: {run['semantic_rate']:.{digits}f}.")
    lines.append(_verdicts(run))
    if run["semantic_betas"] is None:
        lines.append("Regimes: none; they need three betas at which R and D differ.")
    else:
        low, high = run["semantic_betas"]
        knee, both = run["knee_beta"], run["both_fast_betas"]
        lines.append(
            f"Regimes: semantic encoder for beta {low:.3g} to {knee:.3g}, semantic decoder for "
            f"{knee:.3g} to {high:.3g}."
        )
        span = f"beta {both[0]:.4g} to {both[1]:.4g}" if both else "none"
        lines.append(f"Knee (R and D both change fast): {span}.")
    for symbol, name in (("R", "rate"), ("D", "distortion")):
        if place := run[f"at_{name}"]:
            beta = "-" if place["beta"] is None else f"{place['beta']:.4g}"
            rate, distortion = (number(place[each], digits) for each in ("rate", "distortion"))
            lines.append(
                f"At {symbol} = {place[name]:g}: beta {beta}, R {rate}, D {distortion}"
                " (interpolated)."
            )
    if run["likelihood_scales"]:
        low, high = run["likelihood_scales"]
        lines.append(
            f"The scale of the likelihood goes from {low:.3g} to {high:.3g}: D moves with it, and"
            " not only with the squared error."
        )
        if (error := run["error_over_variance"]) and error > _MAX_ERROR:
            lines.append(
                f"The squared error of these images is up to {error:.3g} times the square of that"
                " scale, which is too small for them: D is large for that reason."
            )
    if run["diverged"]:
        lines.append(f"Left out, because they diverged: {run['diverged']}.")
    if run["suspects"]:
        named = [
            f"{_who(row)} ({row['failed_checks'] or 'the file says so'})" for row in run["suspects"]
        ]
        lines.append(f"Left out, because their numbers are suspect: {', '.join(named)}.")
    return lines


def _verdicts(run: Mapping[str, Any]) -> str:
    if run["no_verdict"]:
        return f"Slopes against -beta: no verdict: {run['no_verdict']}"
    counts, total = run["verdicts"], len(run["points"])
    text = ", ".join(f"{counts[name]} {name}" for name in curve.VERDICTS if counts[name])
    text = f"Slopes against -beta: {text}, of {total} points."
    return f"{text} Train longer." if counts["under-trained"] else text


def _compared(comparison: Mapping[str, Any], summary: Mapping[str, Any], digits: int) -> list[str]:
    first, second = (run["run"] for run in summary["runs"])
    title = f"{second} against {first}"
    if comparison["undefined"]:
        return [f"{title}: no BD-rate: {comparison['undefined']}"]
    rates, distortions = (
        f"{number(comparison[name][0], digits)} to {number(comparison[name][1], digits)}"
        for name in ("rates", "distortions")
    )
    trust = (
        "Whether both have the same images and likelihood is not known: not both are of a sweep."
    )
    return [
        f"{title}, {summary['units']}; below 0, it is better:",
        f"BD-rate {comparison['bd_rate_percent']:+z.2f}%, over D {distortions}.",
        f"BD-distortion {comparison['bd_distortion']:+z.{digits}f}, over R {rates}.",
        *([trust] if comparison["same_data"] is None else []),
    ]
