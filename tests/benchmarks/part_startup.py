"""Starting: the same sweep twice with one cache, so that the second finds its programs compiled."""

import tempfile
from pathlib import Path

from machine import Bench
from results import Row, row
from sweep_process import rd_sweep
from timing import ratios

_OPTIONS = ("--dataset", "digits", "--binarize", "dynamic", "--betas", "0.01:10:log8")
_SHORT, _DENSE = ("--steps", "50"), ("--hidden", "256,256")
_LONG = ("--steps", "100000")
_SWEEPS = {
    "256-256": (*_SHORT, *_DENSE),
    "conv": (*_SHORT, "--encoder", "conv", "--decoder", "deconv"),
    # The ways of batching are tried the first time, and again only where the machine was not quiet.
    "256-256 for minutes": (*_LONG, *_DENSE),
}
_QUANTITIES = {
    "compile_seconds": "compilation",
    "first_step_seconds": "until training has begun",
    "process_seconds": "whole process",
}


def measure(bench: Bench) -> list[Row]:
    """Seconds of compiling, to the first step and in all, without a cache and with one."""
    sweeps = list(_SWEEPS.items())[: 1 if bench.quick else None]
    return [row for name, options in sweeps for row in _of(name, options, bench)]


def _of(sweep: str, options: tuple[str, ...], bench: Bench) -> list[Row]:
    long = options[:2] == _LONG
    quantities = {n: q for n, q in _QUANTITIES.items() if not long or n == "first_step_seconds"}
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(1 if bench.quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            for which in ("first", "again"):
                summary = rd_sweep(
                    Path(folder, which), (*_OPTIONS, *options), Path(folder, "cache"), long
                )
                for name in quantities:
                    seconds.setdefault((name, which), []).append(summary[name])
    rows, case = [], f"digits, {sweep}, 8 runs"
    for name, quantity in quantities.items():
        first, again = seconds[name, "first"], seconds[name, "again"]
        rows.append(row("startup", case, "empty cache", quantity, "s", first))
        rows.append(row("startup", case, "same cache again", quantity, "s", again))
        rows.append(row("startup", case, "first / again", quantity, "ratio", ratios(first, again)))
    return rows
