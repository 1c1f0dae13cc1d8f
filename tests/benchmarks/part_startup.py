"""Starting: the same sweep twice with one cache, so that the second finds its programs compiled."""

import tempfile
from pathlib import Path

from machine import Bench
from results import Row, row
from sweep_process import rd_sweep
from timing import ratios

_OPTIONS = (
    "--dataset", "digits", "--binarize", "dynamic", "--betas", "0.01:10:log8", "--steps", "50",
)  # fmt: skip
_MODELS = {
    "256-256": ("--hidden", "256,256"),
    "conv": ("--encoder", "conv", "--decoder", "deconv"),
}
_QUANTITIES = {
    "compile_seconds": "compilation",
    "first_step_seconds": "until training has begun",
    "process_seconds": "whole process",
}


def measure(bench: Bench) -> list[Row]:
    """Seconds of compiling, to the first step and in all, without a cache and with one."""
    models = list(_MODELS.items())[: 1 if bench.quick else None]
    return [row for model, options in models for row in _of(model, options, bench)]


def _of(model: str, options: tuple[str, ...], bench: Bench) -> list[Row]:
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(1 if bench.quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            for which in ("first", "again"):
                summary = rd_sweep(
                    Path(folder, which), (*_OPTIONS, *options), Path(folder, "cache")
                )
                for name in _QUANTITIES:
                    seconds.setdefault((name, which), []).append(summary[name])
    rows, case = [], f"digits, {model}, 8 runs"
    for name, quantity in _QUANTITIES.items():
        first, again = seconds[name, "first"], seconds[name, "again"]
        rows.append(row("startup", case, "empty cache", quantity, "s", first))
        rows.append(row("startup", case, "same cache again", quantity, "s", again))
        rows.append(row("startup", case, "first / again", quantity, "ratio", ratios(first, again)))
    return rows
