"""A whole sweep on a machine with a GPU: 64 models of MNIST, from nothing to the table.

    python tests/benchmarks/gpu.py DATA.npz

DATA.npz has arrays `train` and `test`, of bytes or of values in [0, 1]; `--binarize static` draws
from them. A few minutes on one large GPU. It also runs on a CPU, to try it: `--runs 2 --epochs 1
--max-examples 2000`. This process touches no device itself: each sweep has it alone. `bench.py`
compares training on a GPU with the loops in PyTorch and JAX.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas

# Name of a sweep -> its precision. The first finds no compiled programs, the second finds its own.
SWEEPS = {
    "default, empty cache": "default",
    "default, warm cache": "default",
    "high": "high",
    "highest": "highest",
}
TIMES = ["seconds", "compile_seconds", "train_seconds", "measure_seconds", "ms_per_step"]
_DIVERGED = 3


def main() -> None:
    """Sweeps, and prints times and what precision changes."""
    asked = _arguments()
    summaries: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, precision in SWEEPS.items():
            run_dir = Path(folder, name.replace(", ", "-").replace(" ", "-"))
            summary = _sweep(run_dir, [*_options(asked), f"--precision={precision}"])
            summary["ms_per_step"] = 1e3 / summary["model_steps_per_second"]
            summary["rows"] = pandas.read_parquet(summary["table"])
            summaries[name] = summary
    print(f"{summary['device']}: {asked.runs} models, seconds, and milliseconds per step and model")
    print(pandas.DataFrame(summaries).T[TIMES].astype(float).round(3).to_string())
    print("\nMedian |difference| from `highest` in nats; its median standard error comes last.")
    print(_differences({name: summary["rows"] for name, summary in summaries.items()}).to_string())


def _sweep(run_dir: Path, options: list[str]) -> dict[str, Any]:
    """What `rd-sweep --json` prints; its compiled programs are kept beside the directory."""
    environment = {name: x for name, x in os.environ.items() if not name.startswith("JAX_COMPIL")}
    environment["XDG_CACHE_HOME"] = str(run_dir.with_name("cache"))
    command = [Path(sys.executable).with_name("rd-sweep"), run_dir, "--json", *options]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
    if done.returncode not in (0, _DIVERGED):
        raise SystemExit(f"rd-sweep ended with code {done.returncode}.")
    return json.loads(done.stdout)


def _options(asked: argparse.Namespace) -> list[str]:
    options = {
        "dataset": str(asked.data.resolve()), "binarize": "static", "hidden": "512,512",
        "betas": f"0.01:10:log{asked.runs}", "batch-size": 128, "epochs": asked.epochs,
    }  # fmt: skip
    if asked.max_examples:
        options["max-examples"] = asked.max_examples
    return [f"--{name}={value}" for name, value in options.items()]


def _differences(tables: dict[str, pandas.DataFrame]) -> pandas.DataFrame:
    """How far R, D, -ELBO and I(n;z) of every sweep are from those at the highest precision.

    The two sweeps of default precision differ by the noise floor. Training amplifies any difference
    of rounding, so that all are to be read beside the standard error.
    """
    names = ["rate", "distortion", "negative_elbo", "mutual_information"]
    best = tables["highest"]
    found = {name: (table[names] - best[names]).abs().median() for name, table in tables.items()}
    errors = best[[f"{name}_se" for name in names]].median().set_axis(names)
    return pandas.DataFrame(found | {"standard error": errors}).T


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, metavar="DATA.npz")
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--max-examples", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
