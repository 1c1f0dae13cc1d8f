"""The forecast of `--dry-run` beside what the sweep then takes, at the size of MNIST."""

import tempfile
from pathlib import Path

import numpy as np
from cases import Case
from machine import Bench
from results import Row, row

from ratedistortion import api

_STEPS, _BETAS = 300, (0.1, 0.5, 1.0, 2.0)


def measure(bench: Bench) -> list[Row]:
    """Seconds foretold, seconds taken, compilation included, and their ratio."""
    rows = []
    for case in bench.cases:
        with tempfile.TemporaryDirectory() as folder:
            foretold, summary = _one(case, Path(folder), bench.quick)
        taken = summary["seconds"]
        for competitor, unit, value in (
            ("foretold", "s", foretold),
            ("taken", "s", taken),
            ("of this, compiling", "s", summary["compile_seconds"]),
            ("of this, training", "s", summary["train_seconds"]),
            ("of this, measuring", "s", summary["measure_seconds"]),
            ("foretold / taken", "ratio", foretold / taken),
        ):
            rows.append(row("forecast", case.name, competitor, "time", unit, [value]))
    return rows


def _one(case: Case, folder: Path, quick: bool) -> tuple[float, dict[str, float]]:
    shape = case.shape if len(case.shape) == 3 else (case.dimensions,)
    random, small = np.random.default_rng(0), 20 if quick else 1
    splits = {
        name: random.integers(0, 2, (count // small, *shape), np.uint8)
        for name, count in (("train", 60_000), ("test", 10_000))
    }
    path = folder / "noise.npz"
    np.savez(path, **splits)
    settings = case.settings(
        dataset=str(path), steps=_STEPS // (10 if quick else 1), betas=_BETAS[: 2 if quick else 4]
    )
    foretold = api.dry_run(settings, folder / "run")["seconds"]
    return foretold, api.sweep(settings, folder / "run").attrs["summary"]
