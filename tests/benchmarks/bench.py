"""The engine beside what a user would write instead: medians over rounds, and ratios in a round.

Run it with `make bench`: long; `--quick` takes about ten minutes on two slow CPU cores. Machines
are noisy: competitors take turns, and ratios are taken within a round.
"""

import argparse
import importlib
import os
from pathlib import Path
from typing import Any

import jax
import pandas
from timing import Bench, Row, cell
from torch_client import BESIDE, TorchWorker

from ratedistortion import __version__
from ratedistortion.engine.devices import find_devices
from ratedistortion.settings import Settings

PARTS = ("training", "information")


def main() -> None:
    """Measures, prints and writes."""
    asked = _arguments()
    devices = find_devices(Settings())
    # Programs of an earlier run would make every compilation look free.
    jax.config.update("jax_enable_compilation_cache", False)
    worker = None
    try:
        worker = TorchWorker(asked.torch)
    except (OSError, RuntimeError) as error:
        print(f"no PyTorch column: {error}; `make bench` installs PyTorch, --torch names another.")
    bench = Bench(asked.quick, 3 if asked.quick else 5, devices, worker)
    about = surroundings(bench)
    print("  ".join(f"{name} {value}" for name, value in about.items()))
    if about["load"] > 0.5:
        print("Other programs are at work here: the PyTorch column above all will look worse.")
    rows: list[Row] = []
    asked.output.mkdir(parents=True, exist_ok=True)
    path = asked.output / "bench.parquet"
    for name in asked.only:
        part = importlib.import_module(f"part_{name}")
        found = part.measure(bench)
        rows += found
        print(f"\n{name}\n{table(found, part.COLUMNS)}", flush=True)
        # After every part, so that what was measured outlives a failure in the next.
        pandas.DataFrame(rows).assign(**about).to_parquet(path, index=False)
    print(f"\n{path}")
    if worker:
        worker.close()


def surroundings(bench: Bench) -> dict[str, Any]:
    """Machine and versions, by name; they go into every row of the table."""
    return {
        "machine": bench.devices[0].device_kind,
        "cores": len(os.sched_getaffinity(0)),
        "devices": len(bench.devices),
        "jax": jax.__version__,
        "torch": bench.torch.about["torch"] if bench.torch else "",
        "ratedistortion": __version__,
        "quick": bench.quick,
        # Of other programs, at the start: PyTorch suffers most when it must share a core.
        "load": os.getloadavg()[0],
    }


def table(rows: list[Row], columns: dict[str, str]) -> str:
    """One line per case and competitor; a number that was not measured is a dash."""
    frame = pandas.DataFrame(rows).assign(cell=[cell(row) for row in rows])
    wide = frame.set_index(["case", "competitor", "quantity"])["cell"].unstack(sort=False)
    wide = wide.reindex(columns=[name for name in columns if name in wide]).fillna("-")
    return wide.rename(columns=columns).to_string(sparsify=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little work and three rounds")
    parser.add_argument("--torch", metavar="PYTHON", default=BESIDE, help="it has PyTorch")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", default=PARTS)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench"), metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
