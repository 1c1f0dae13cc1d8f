"""A GPU against its goals: a whole sweep, training beside PyTorch, and the memory's roofline.

    python tests/benchmarks/gpu.py DATA.npz -o FOLDER
    python tests/benchmarks/gpu.py DATA.npz -o FOLDER --only corners --recipes examples/*.toml
    python tests/benchmarks/gpu.py --tiny

The sweep is 64 runs and 20 epochs of MNIST with exact information: DATA.npz has arrays `train` and
`test`, of bytes or of values in [0, 1]. `--tiny` tries everything in small, on a CPU too. Every
part has a process of its own and a limit of time. FOLDER/gpu.jsonl gets each row as it is measured
and keeps those of earlier calls on this machine, of which the latest of each part are shown too;
FOLDER/gpu.csv gets the goals. A recipe that was stopped goes on in the next call; one of the data
set NAME reads NAME.npz beside DATA.npz, if it is there. PyTorch may be missing; the package must
be installed: `pip install --no-deps --no-build-isolation .` needs no network.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import gpu_parts
import jax
import pandas
from bench import surroundings, table
from cases import Case
from timing import Row
from torch_client import BESIDE

FULL = Case("256-256", 64, 2000)
TINY = Case("16-16", 2, 8, hidden=(16, 16), latents=4)
_SPAWN = multiprocessing.get_context("spawn")
# Seconds that a part has to end in, once it is told to.
_GRACE = 30

# Name of a goal -> what is wanted at least or at most, and the measured value from the time of
# each part: the seconds of the sweep, else milliseconds per step and model.
GOALS = {
    "sweep with compilation, s": (15, lambda time: time["sweep"]),
    "times an eager PyTorch loop": (60, lambda time: time["eager"] / time["engine"]),
    "times CUDA graphs": (15, lambda time: time["graphs"] / time["engine"]),
    "times torch.func": (3, lambda time: time["func"] / time["engine"]),
    "share of the memory's roofline": (0.5, lambda time: time["roofline"] / time["engine"]),
}
AT_MOST = "sweep with compilation, s"


def main() -> None:
    """Measures part by part, then prints all rows and the goals."""
    asked = _arguments()
    with ProcessPoolExecutor(1, mp_context=_SPAWN) as pool:  # this process touches no device
        asked.about = pool.submit(_about, asked.tiny).result()
    print("  ".join(f"{name} {value}" for name, value in asked.about.items()), flush=True)
    if asked.about["platform"] == "cpu" and not asked.tiny:
        raise SystemExit("JAX sees no GPU: give --tiny to try this program on a CPU.")
    ends = time.monotonic() + asked.limit
    for name in asked.only:
        if name != "corners":
            _run(name, asked, gpu_parts.PARTS[name].limit)
    for recipe in asked.recipes:
        asked.recipe, left = recipe, ends - time.monotonic()
        if left > 0:
            _run("corners", asked, left)
        else:
            print(f"  no time is left for {recipe}: call again with --only corners")
    rows, failed = _latest(asked)
    for part in dict.fromkeys(row.part for row in rows):
        found = [row for row in rows if row.part == part]
        columns = {row.quantity: f"{row.quantity}, {row.unit}" for row in found}
        print(f"\n{part}\n{table(found, columns)}")
    print("", *(f"{part}: not measured: {why}" for part, why in failed.items()), sep="\n")
    goals = _goals(rows, asked.about)
    goals.assign(**asked.about).to_csv(asked.output / "gpu.csv")
    print(f"\n{goals.to_string()}\n\n{asked.output / 'gpu.csv'}")


def _about(tiny: bool) -> dict[str, Any]:
    bench = gpu_parts.bench(tiny)
    return {"platform": bench.devices[0].platform, **surroundings(bench)}


def _run(name: str, asked: argparse.Namespace, limit: float) -> None:
    """Measures a part in a process of its own, which leads a group that ends with it."""
    asked.began = time.time()
    print(f"  {name} {asked.recipe or ''}", flush=True)
    process = _SPAWN.Process(target=_measure, args=(name, asked))
    process.start()

    def send(number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    try:
        process.join(limit)
        if late := process.is_alive():
            send(signal.SIGTERM)
            process.join(_GRACE)
    finally:
        send(signal.SIGKILL)
        process.join()
    if late:
        _keep(_failure(name, asked, f"stopped after {limit:.0f} s"), asked)
    elif process.exitcode:
        _keep(_failure(name, asked, f"ended with code {process.exitcode}"), asked)


def _measure(name: str, asked: argparse.Namespace) -> None:
    os.setsid()
    # `rd-sweep`, which is told too, writes a checkpoint and ends.
    signal.signal(signal.SIGTERM, lambda *_: None)
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        measure = gpu_parts.corners if name == "corners" else gpu_parts.PARTS[name].measure
        for row in measure(asked):
            _keep(row, asked)
    except Exception as error:
        if type(error) is not RuntimeError:  # such as no PyTorch
            traceback.print_exc()
        _keep(_failure(name, asked, str(error)), asked)


def _failure(part: str, asked: argparse.Namespace, why: str) -> Row:
    case = asked.recipe.stem if asked.recipe else asked.case.name
    return Row(part, case, why, "failure", "", 0, 0, 0, 0)


def _keep(row: Row, asked: argparse.Namespace) -> None:
    with (asked.output / "gpu.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row._asdict() | {"began": asked.began} | asked.about) + "\n")


def _latest(asked: argparse.Namespace) -> tuple[list[Row], dict[str, str]]:
    """The rows of the latest try of each part on this machine, and why there are none of others."""
    lines = (asked.output / "gpu.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [
        (Row(*(line[name] for name in Row._fields)), line["began"])
        for line in map(json.loads, lines)
        if (line["machine"], line["quick"]) == (asked.about["machine"], asked.tiny)
    ]
    latest = {(row.part, row.case): began for row, began in kept}
    rows = [row for row, began in kept if began == latest[row.part, row.case]]
    failed = {f"{row.part}, {row.case}": row.competitor for row in rows if not row.rounds}
    return [row for row in rows if row.rounds], failed


def _goals(rows: list[Row], about: dict[str, Any]) -> pandas.DataFrame:
    """Each goal, what was measured, and whether it is met."""
    # The first row of a part is that of its main competitor.
    times = {row.part: row.median for row in reversed(rows) if row.quantity == "time"}
    lines = {}
    for name, (wanted, value) in GOALS.items():
        try:
            measured = value(times)
            met = measured <= wanted if name == AT_MOST else measured >= wanted
            verdict = "met" if met else "not met"
        except KeyError:
            measured, verdict = float("nan"), "not measured"
        if about["quick"]:
            verdict = "tiny"
        if about["platform"] == "cpu":
            verdict = "no GPU"
        lines[name] = {"goal": wanted, "measured": float(f"{measured:.3g}"), "verdict": verdict}
    return pandas.DataFrame(lines).T.rename_axis("what")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    every = (*gpu_parts.PARTS, "corners")
    parser.add_argument("data", nargs="?", metavar="DATA.npz")
    parser.add_argument("--only", nargs="+", choices=every, metavar="PART", default=every)
    parser.add_argument("--recipes", nargs="+", type=Path, metavar="FILE.toml", default=[])
    parser.add_argument("--limit", type=float, default=540, help="seconds, then recipes stop")
    parser.add_argument("--tiny", action="store_true", help="to try the program, not to measure")
    parser.add_argument("--torch", metavar="PYTHON", help="it has PyTorch")
    folder: dict[str, Any] = {"type": Path, "default": Path("runs/gpu"), "metavar": "FOLDER"}
    parser.add_argument("-o", "--output", **folder, help="for gpu.jsonl and gpu.csv")
    parser.add_argument("--work", **folder, help="for run directories and compiled programs")
    asked = parser.parse_args()
    if not (asked.data or asked.tiny):
        parser.error("DATA.npz is missing; only --tiny has its own data, the digits.")
    asked.data = asked.data or "digits"
    asked.torch = asked.torch or (BESIDE if Path(BESIDE).exists() else sys.executable)
    asked.case, asked.epochs = (TINY, 1) if asked.tiny else (FULL, 20)
    asked.recipes = asked.recipes if "corners" in asked.only else []
    asked.recipe = None
    asked.output.mkdir(parents=True, exist_ok=True)
    return asked


if __name__ == "__main__":
    main()
