"""What `gpu.py` says of its sweeps: times, shares of the roofline, and what precision changes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas
from results import Row, row

_TIMES = {
    "process_seconds": "from start to end",
    "compile_seconds": "compiling",
    "train_seconds": "training",
    "measure_seconds": "measuring",
}


def whole(summaries: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Seconds of every sweep, and its model-steps a second."""
    rows = []
    for name, summary in summaries.items():
        case = f"{summary['runs']} runs"
        for key, quantity in _TIMES.items():
            rows.append(row("sweep", case, name, quantity, "s", [summary[key]]))
        speed = summary["model_steps_per_second"]
        rows.append(row("sweep", case, name, "model-steps", "1/s", [speed]))
        rows.append(row("sweep", case, name, "diverged", "runs", [summary["diverged"]]))
    return rows


def roofline(
    times: Mapping[str, tuple[float, str]],
    ceilings: Mapping[str, float],
    operations: int,
    moved: int,
) -> list[Row]:
    """How near training comes to the two ceilings, of products and of memory.

    Args:
        times: Sweep -> milliseconds per step and model, and precision.
        ceilings: Precision -> GFLOP/s of a large product; `copy` -> GB/s.
        operations: Of the products in a step of one model.
        moved: Bytes that a step of one model must at least read and write.
    """
    rows = []
    for name, (time, precision) in times.items():
        speed, bandwidth = operations / time / 1e6, moved / time / 1e6
        product, memory = ceilings[precision], ceilings["copy"]
        for quantity, unit, value in (
            ("achieved", "GFLOP/s", speed),
            ("large product at this precision", "GFLOP/s", product),
            ("share of the product ceiling", "", speed / product),
            ("achieved, parameters and optimizer", "GB/s", bandwidth),
            ("large copy", "GB/s", memory),
            ("share of the memory ceiling", "", bandwidth / memory),
            ("share of the roofline", "", max(speed / product, bandwidth / memory)),
        ):
            rows.append(row("roofline", "training", name, quantity, unit, [value]))
    return rows


def differences(tables: Mapping[str, pandas.DataFrame]) -> list[Row]:
    """R and D of every sweep less those at `highest`, run by run, in nats per image.

    The row `default, repeated` is the noise floor: the same sweep twice. Training amplifies any
    difference of rounding, so that the others are to be read beside the standard error.
    """
    key = ["split", "beta", "seed"]
    by_run = {name: table.set_index(key).sort_index() for name, table in tables.items()}
    pairs = {f"{name} - highest": (name, "highest") for name in ("default, warm cache", "high")}
    pairs["default, repeated"] = ("default, warm cache", "default, empty cache")
    rows = []
    for label, (one, other) in pairs.items():
        for split in ("train", "test"):
            for name in ("rate", "distortion", "negative_elbo", "mutual_information"):
                before = by_run[other].loc[split]
                change = (by_run[one].loc[split][name] - before[name]).dropna().to_numpy(float)
                if len(change):
                    rows.append(row("precision", split, label, name, "nats", change.tolist()))
                    error = float(np.median(before[f"{name}_se"].dropna().to_numpy(float)))
                    quantity = f"{name}, standard error"
                    rows.append(row("precision", split, label, quantity, "nats", [error]))
    return rows
