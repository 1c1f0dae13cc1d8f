"""Runs recipes of this folder and compares what they give with `results.csv`.

    python examples/field/run.py [RECIPE.toml ...] [--data-dir DIR] [--runs DIR] [--record]

Without recipes it runs all but the corners. It prints R and D of the test split beside those of
`results.csv`, and ends with code 1 where one differs by more than its tolerance, 1 nat and 2% of
the number: other processors and releases of JAX round differently, and training amplifies that. A
recipe whose data set is not there is left out, with a line that says so. `--record` writes what was
measured into `results.csv` and to the top of the recipe. Core-minutes are the processor time of the
command.

Running time: about 25 minutes on two CPU cores.
Expect: every point within its tolerance.
"""

import argparse
import csv
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import textwrap
from importlib import metadata
from pathlib import Path

import pandas

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
_POINT = ["recipe", "dataset", "encoder", "decoder", "prior", "latents", "beta", "seed"]
_NUMBERS = ["rate", "distortion", "negative_elbo", "mutual_information"]
_NAMED = ["status", "core_minutes", "processor", "python", "jax", "ratedistortion"]
COLUMNS = [*_POINT, *(f"{n}{end}" for n in _NUMBERS for end in ("", "_se")), *_NAMED]
_NATS, _SHARE = 1.0, 0.02
_NO_DATA = 7  # the exit code of rd-sweep where it cannot read the data


def main() -> None:
    """Runs what was asked for, prints how it compares, and keeps it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", type=Path)
    parser.add_argument("--data-dir", default=os.path.expanduser("~/tensorflow_datasets"))
    parser.add_argument("--runs", type=Path, default=Path("runs/field"))
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    quick = [path for path in sorted(HERE.glob("*.toml")) if not path.name.startswith("corner")]
    known, apart = stored(), []
    for recipe in asked.recipes or quick:
        rows = run(recipe, asked.runs / recipe.stem, asked.data_dir)
        for row in rows:
            name = row["recipe"], float(row["beta"]), int(row["seed"])
            line, agrees = compared(row, known.get(name))
            print(line, flush=True)
            if asked.record:
                known[name] = row
            apart += [] if agrees else [name]
        if asked.record and rows:
            write(known.values())
            recipe.write_text(with_results(recipe.read_text(encoding="utf-8"), rows), "utf-8")
    if apart:
        sys.exit(f"{len(apart)} points differ by more than their tolerance.")


def run(recipe: Path, run_dir: Path, data_dir: str) -> list[dict[str, object]]:
    """The rows of the test split, in the columns of `results.csv`; none without the data."""
    shutil.rmtree(run_dir, ignore_errors=True)  # a finished one would not be computed again
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = Path(sys.executable).with_name("rd-sweep")
    command = [program, run_dir, "--config", recipe, "--data-dir", data_dir, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        if done.returncode != _NO_DATA:
            sys.exit(f"{recipe.stem}: rd-sweep ended with code {done.returncode}: {reason}")
        print(f"{recipe.stem}: left out: {reason}")
        return []
    minutes = sum(getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime")) / 60
    common = {
        "recipe": recipe.stem,
        "core_minutes": f"{minutes:.1f}",
        "processor": _processor(),
        "python": platform.python_version(),
        "jax": metadata.version("jax"),
        "ratedistortion": metadata.version("ratedistortion"),
    }
    table = pandas.read_parquet(json.loads(done.stdout)["table"])
    rows = table[table.split == "test"].to_dict("records")
    return [{name: _text((row | common)[name]) for name in COLUMNS} for row in rows]


def compared(row: dict[str, object], known: dict[str, object] | None) -> tuple[str, bool]:
    """A line with R and D, beside what is known of them, and whether they agree."""
    line = f"{row['recipe']:28} beta {float(str(row['beta'])):<6g}"
    agrees = True
    for name in ("rate", "distortion"):
        value = float(str(row[name]))
        line += f"  {name} {value:7.2f}"
        if known is not None:
            expected = float(str(known[name]))
            within = abs(value - expected) <= _NATS + _SHARE * abs(expected)
            line += f" ({expected:.2f}{'' if within else ', DIFFERS'})"
            agrees &= within
    return line + f"  {row['core_minutes']} core-minutes", agrees


def with_results(recipe: str, rows: list[dict[str, object]]) -> str:
    """The text of a recipe with two lines at its top of what it takes and gives."""
    about, *settings = recipe.splitlines()
    comments, settings = [about], [line for line in settings if not line.startswith("#")]
    if not rows:
        comments += ["# Running time: not measured yet.", "# Expect: not measured yet."]
    else:
        points = [
            f"R {float(str(row['rate'])):.1f}, D {float(str(row['distortion'])):.1f} at beta"
            f" {float(str(row['beta'])):g}"
            for row in rows
        ]
        comments.append(f"# Running time: {rows[0]['core_minutes']} core-minutes, with measuring.")
        comments += textwrap.wrap(f"# Expect: {'; '.join(points)}.", 96, subsequent_indent="#     ")
    return "\n".join([*comments, *settings]) + "\n"


def stored() -> dict[tuple[str, float, int], dict[str, object]]:
    """The rows of `results.csv` by recipe, beta and seed."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {(row["recipe"], float(row["beta"]), int(row["seed"])): dict(row) for row in rows}


def write(rows) -> None:
    """Writes `results.csv`, in the order of recipes and betas."""
    ordered = sorted(rows, key=lambda row: (row["recipe"], float(row["beta"]), int(row["seed"])))
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)


def _text(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
