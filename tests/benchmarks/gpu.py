"""A whole sweep on a machine with a GPU: 64 models of MNIST, from nothing to the table.

    python tests/benchmarks/gpu.py DATA.npz [-o FOLDER]

DATA.npz has arrays `train` and `test`, of bytes or of values in [0, 1]; `--binarize static` draws
from them. A few minutes on one large GPU. It also runs on a CPU, to try it: `--runs 2 --epochs 1
--max-examples 2000`. This process touches no device itself: whoever is timed has it alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas
from cases import Case
from flops import parameters, step_flops
from gpu_report import differences, roofline, whole
from results import Row, plain, row, save
from sweep_process import rd_sweep
from torch_client import NoTorch, TorchWorker

# Name of a sweep -> its precision. The first finds no compiled programs, the second finds its own.
SWEEPS = {
    "default, empty cache": "default",
    "default, warm cache": "default",
    "high": "high",
    "highest": "highest",
}
# Parameters, gradient and both moments, each read and written once a step.
_BYTES_PER_PARAMETER = 32


def main() -> None:
    """Sweeps, then the PyTorch loop, then the roofline; prints and writes."""
    asked = _arguments()
    rows: list[Row] = []
    summaries: dict[str, dict[str, Any]] = {}
    tables: dict[str, pandas.DataFrame] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, precision in SWEEPS.items():
            run_dir = Path(folder, name.replace(", ", "-").replace(" ", "-"))
            options = [*_options(asked), "--precision", precision]
            summary = rd_sweep(run_dir, options, Path(folder, "cache"))
            tables[name] = pandas.read_parquet(summary["table"])
            summaries[name] = summary
            print(f"{name}: {json.dumps(summary)}", flush=True)
    case = Case(
        "784-512-512", asked.runs, 1, hidden=(512, 512), batch_size=asked.batch_size,
        learning_rate=2e-3,
    )  # fmt: skip
    first = summaries["default, empty cache"]
    about = {"machine": first["device"], "batching": first["batching"], "runs": asked.runs}
    rows += whole(summaries)
    times = {name: 1e3 / each["model_steps_per_second"] for name, each in summaries.items()}
    times |= _torch(case, asked, "cpu" if first["device"] == "cpu" else "cuda")
    for name, value in times.items():
        rows.append(row("training", case.name, name, "time", "ms per step and model", [value]))
    ceilings = _ceilings()
    work = step_flops(case), _BYTES_PER_PARAMETER * parameters(case)
    measured = {name: (times[name], SWEEPS[name]) for name in list(SWEEPS)[1:]}
    rows += roofline(measured, ceilings, *work)
    rows += differences(tables)
    for part in dict.fromkeys(each.part for each in rows):
        print(f"\n{part}\n{plain(each for each in rows if each.part == part)}")
    save(rows, about, asked.output / "gpu.parquet")
    print(f"\n{asked.output / 'gpu.parquet'}")


def _options(asked: argparse.Namespace) -> list[str]:
    options = {
        "dataset": str(asked.data.resolve()), "binarize": "static", "hidden": "512,512",
        "betas": f"0.01:10:log{asked.runs}", "batch-size": asked.batch_size,
        "epochs": asked.epochs, "codes": asked.codes,
    }  # fmt: skip
    if asked.max_examples:
        options["max-examples"] = asked.max_examples
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def _torch(case: Case, asked: argparse.Namespace, device: str) -> dict[str, float]:
    """Milliseconds per step of the PyTorch loop: as it comes, and with TF32 products."""
    try:
        worker = TorchWorker(asked.torch)
    except (NoTorch, OSError) as error:
        print(f"no PyTorch loop: {error}")
        return {}
    if device == "cuda" and not worker.about["cuda"]:
        print("no PyTorch loop: this PyTorch sees no GPU.")
        worker.close()
        return {}
    steps, times = 2000 if device == "cuda" else 20, {}
    for precision in ("highest", "high"):
        worker.seconds(case, 20, device, precision)
        best = min(worker.seconds(case, steps, device, precision) for _ in range(3))
        times[f"PyTorch loop, {precision}"] = 1e3 * best / steps
    worker.close()
    return times


def _ceilings() -> dict[str, float]:
    program = Path(__file__).with_name("ceiling.py")
    done = subprocess.run([sys.executable, str(program)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, metavar="DATA.npz")
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--codes", type=int, default=10_000)
    parser.add_argument("--max-examples", type=int)
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has PyTorch")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/gpu"), metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
