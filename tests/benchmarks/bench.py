"""The engine beside what a user would write instead: medians, ends, and ratios of one minute.

Run it with `make bench`: long; `--quick` takes about ten minutes on two slow CPU cores. Machines
are noisy: competitors take turns, and ratios are taken within a round.
"""

import argparse
import importlib
from pathlib import Path

import jax
from chart import draw
from machine import Bench, surroundings
from results import Row, aligned, markdown, plain, save, wide
from torch_client import NoTorch, TorchWorker

from ratedistortion.engine.devices import find_devices
from ratedistortion.settings import Settings

PARTS = ("machine", "training", "information", "scaling", "memory", "startup")


def main() -> None:
    """Measures, prints and writes."""
    asked = _arguments()
    devices = find_devices(Settings())
    # Programs of an earlier run would make every compilation look free.
    jax.config.update("jax_enable_compilation_cache", False)
    worker = None
    try:
        worker = TorchWorker(asked.torch)
    except (NoTorch, OSError) as error:
        print(f"no PyTorch column: {error}")
    bench = Bench(asked.quick, 3 if asked.quick else 5, devices, worker)
    about = surroundings(bench)
    print("  ".join(f"{name} {value}" for name, value in about.items()))
    if about["load"] > 0.5:
        print("Other programs are at work here: the PyTorch column above all will look worse.")
    rows: list[Row] = []
    for name in PARTS:
        if name in (asked.only or PARTS):
            part = importlib.import_module(f"part_{name}")
            found = part.measure(bench)
            rows += found
            print(f"\n{name}\n{_table(found, name, part)}", flush=True)
            # After every part, so that what was measured outlives a failure in the next.
            save(rows, about, asked.output / "bench.parquet")
    _write(rows, about, asked.output)
    if worker:
        worker.close()


def _table(rows: list[Row], name: str, part: object) -> str:
    columns = getattr(part, "COLUMNS", None)
    return aligned(wide(rows, name, columns), {0, 1}) if columns else plain(rows)


def _write(rows: list[Row], about: dict[str, object], folder: Path) -> None:
    """The Markdown tables and the figure, of the parts that were measured."""
    text = ["; ".join(f"{name} {value}" for name, value in about.items())]
    for name in ("training", "information"):
        lines = wide(rows, name, importlib.import_module(f"part_{name}").COLUMNS)
        text += [markdown(lines)] if len(lines) > 1 else []
    (folder / "bench.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")
    if any(row.part == "training" for row in rows):
        draw(rows, folder / "bench.png")
    print(f"\n{folder}: {', '.join(sorted(path.name for path in folder.glob('bench.*')))}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little work and three rounds")
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has PyTorch")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench"), metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
