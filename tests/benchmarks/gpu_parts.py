"""What `gpu.py` measures; each part yields its rows as they come, in a process of its own."""

import functools
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pandas
from cases import Case, noise
from engines import plan
from part_training import measure_case
from timing import Bench, Row, in_turn, row
from torch_client import TorchWorker

from ratedistortion.engine.devices import find_devices
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.plan import Sweep
from ratedistortion.settings import Settings

# `time` is that of the whole command, of which the others are parts.
_TIMES = ["seconds", "compile_seconds", "train_seconds", "measure_seconds"]
_FINISHED = (0, 3, 8)  # exit codes of `rd-sweep`: 3 some runs diverged, 8 some rows are suspect


def bench(tiny: bool) -> Bench:
    """One GPU, or all cores of a CPU; PyTorch has other parts."""
    devices = find_devices(Settings())
    found = Bench(tiny, 1 if tiny else 3, devices, None)
    return found if found.on_cpu else found._replace(devices=devices[:1])


def sweep(asked: Namespace) -> Iterator[Row]:
    """The whole sweep, when no program is compiled yet."""
    shutil.rmtree(asked.work / "cache", ignore_errors=True)
    yield from _timed(asked, "sweep", "default, empty cache")


def precision(asked: Namespace) -> Iterator[Row]:
    """The sweep with compiled programs, and at other precisions: times, and what they change.

    The last rows are the median |difference| of R, D, -ELBO and I(n;z) from those at the highest
    precision, and the median standard error. Two sweeps of default precision differ by the noise
    floor. Training amplifies any difference of rounding, so that all are to be read beside the
    standard error.
    """
    for name in ("default, warm cache", "high", "highest"):
        yield from _timed(asked, "precision", name)
    paths = sorted((asked.work / "sweeps").glob("*/rd.parquet"))
    tables = {path.parent.name: pandas.read_parquet(path) for path in paths}
    best = tables.pop("highest")
    for quantity in ("rate", "distortion", "negative_elbo", "mutual_information"):
        errors = {name: (table[quantity] - best[quantity]).abs() for name, table in tables.items()}
        errors["standard error"] = best[f"{quantity}_se"]
        for name, values in errors.items():
            yield row(
                "precision", asked.case.name, name, quantity, "nats", [float(values.median())]
            )


def _timed(asked: Namespace, part: str, name: str) -> Iterator[Row]:
    case: Case = asked.case
    options = {
        "dataset": asked.data, "binarize": "static", "epochs": asked.epochs,
        "betas": f"0.01:10:log{case.runs}", "encoder": case.encoder, "decoder": case.decoder,
        "hidden": ",".join(map(str, case.hidden)), "latents": case.latents,
        "batch-size": case.batch_size, "learning-rate": case.learning_rate,
        "precision": name.split(",")[0],
    }  # fmt: skip
    if asked.tiny:
        options["max-examples"] = 500
    run_dir = asked.work / "sweeps" / name
    shutil.rmtree(run_dir, ignore_errors=True)
    summary, seconds = _rd_sweep(asked, run_dir, options)
    for quantity, value in [("time", seconds), *((each, summary[each]) for each in _TIMES)]:
        yield row(part, case.name, name, quantity, "s", [value])
    step = 1e3 / summary["model_steps_per_second"]
    yield row(part, case.name, name, "step of a model", "ms", [step])


def _rd_sweep(asked: Namespace, run_dir: Path, options: dict[str, Any]) -> tuple[dict, float]:
    """What `rd-sweep --json` prints, and its seconds. `run_dir` goes on where it was stopped."""
    environment = {name: x for name, x in os.environ.items() if not name.startswith("JAX_COMPIL")}
    environment["XDG_CACHE_HOME"] = str(asked.work / "cache")
    # There is no `rd-sweep` beside a Python that is used from elsewhere.
    program = [sys.executable, "-c", "from ratedistortion.cli.sweep import main; main()"]
    command = [*program, run_dir, "--json", *(f"--{name}={x}" for name, x in options.items())]
    spent = run_dir.with_name(run_dir.name + ".seconds")
    spent.parent.mkdir(parents=True, exist_ok=True)
    before = float(spent.read_text()) if run_dir.exists() and spent.exists() else 0.0
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
    seconds = before + time.perf_counter() - began
    spent.write_text(str(seconds))
    if done.returncode not in _FINISHED:
        raise RuntimeError(f"rd-sweep ended with code {done.returncode} after {seconds:.0f} s")
    return json.loads(done.stdout), seconds


def engine(asked: Namespace) -> Iterator[Row]:
    """Training beside a loop of jitted steps; the first row is that of the engine as planned."""
    for found in measure_case(asked.case, bench(asked.tiny)):
        yield found._replace(part="engine")


def roofline(asked: Namespace) -> Iterator[Row]:
    """The least time of a step, where nothing but the memory of the device takes time.

    What must move, in numbers of 4 bytes: a parameter is read by the forward pass, the backward
    pass and Adam, and written by Adam; both moments are read and written; a gradient is written
    and read; an output of a layer and its gradient are written and read. The images are left out:
    a pixel is a byte. The time is that of so many bytes at the speed of a copy in JAX, which
    reads and writes.
    """
    case: Case = asked.case
    here = bench(asked.tiny)
    whole = Sweep(case.settings(), noise(case), plan("vmap", 1, case))
    parameters = Engine(whole, here.devices).parameters
    outputs = case.batch_size * (2 * sum(case.hidden) + 3 * case.latents + case.dimensions)
    moved = {"parameters": 4 * parameters, "moments": 4 * parameters, "gradients": 2 * parameters}
    moved["activations"] = 4 * outputs
    for name, numbers in moved.items():
        yield row("roofline", case.name, name, "a step of a model", "MB", [4e-6 * numbers])
    x = jnp.zeros(2**22 if asked.tiny else 2**28)  # 1 GiB fits no cache
    program = jax.jit(lambda x: x + 1)  # a plain copy might be none

    def copy() -> float:
        began = time.perf_counter()
        jax.block_until_ready(program(x))
        return time.perf_counter() - began

    (seconds,) = in_turn({"copy": copy}, 10).values()
    speeds = [2 * x.nbytes / each for each in seconds]
    yield row("roofline", case.name, "copy", "speed", "GB/s", [1e-9 * each for each in speeds])
    least = 4e3 * sum(moved.values()) / max(speeds)
    yield row("roofline", case.name, "all", "time", "ms", [least])


def pytorch(way: str, asked: Namespace) -> Iterator[Row]:
    """Milliseconds per step and model of one of the ways of `torch_loop.py`."""
    case: Case = asked.case
    try:
        worker = TorchWorker(asked.torch)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(f"no PyTorch in {asked.torch}: {error}") from error
    asked.about["torch"] = worker.about["torch"]
    on_gpu = asked.about["platform"] != "cpu"
    if on_gpu and not worker.about["cuda"]:
        raise RuntimeError(f"PyTorch {worker.about['torch']} sees no GPU")
    device, models = "cuda" if on_gpu else "cpu", case.runs if way == "func" else 1
    task = {way: lambda: worker.seconds(case, case.steps, device, way)}
    (seconds,) = in_turn(task, 1 if asked.tiny else 3).values()
    times = [1e3 * each / case.steps / models for each in seconds]
    yield row(way, case.name, f"PyTorch, {way}", "time", "ms", times)
    worker.close()


def corners(asked: Namespace) -> Iterator[Row]:
    """R and D of a recipe on its test split, and its minutes with compilation, of all calls."""
    path: Path = asked.recipe
    recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    options: dict[str, Any] = {"config": path}
    beside = Path(asked.data).with_name(f"{recipe.get('dataset')}.npz")
    if beside.exists():  # instead of TFDS, which may be missing
        options["dataset"] = beside
    if asked.tiny:
        options |= {"epochs": 1, "max-examples": 100, "batch-size": 20, "betas": 1, "seeds": 1}
        options["codes"] = 200
    summary, seconds = _rd_sweep(asked, asked.work / "corners" / path.stem, options)
    table = pandas.read_parquet(summary["table"]).query("split == 'test'")
    for _, found in table.iterrows():
        name = f"beta {found['beta']:g}, seed {found['seed']}"
        for letter, quantity in (("R", "rate"), ("D", "distortion")):
            yield row("corners", path.stem, name, letter, "nats", [float(found[quantity])])
        yield row("corners", path.stem, name, "time of the recipe", "minutes", [seconds / 60])


class Part(NamedTuple):
    """What is measured, and the most seconds that it may take."""

    measure: Callable[[Namespace], Iterator[Row]]
    limit: float


# Together they take less than ten minutes.
PARTS = {
    "sweep": Part(sweep, 90),
    "engine": Part(engine, 130),
    "roofline": Part(roofline, 40),
    "eager": Part(functools.partial(pytorch, "eager"), 80),
    "graphs": Part(functools.partial(pytorch, "graphs"), 50),
    "func": Part(functools.partial(pytorch, "func"), 60),
    "precision": Part(precision, 120),
}
