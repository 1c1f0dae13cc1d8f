"""Disturbs sweeps for as long as it takes: every operation on files, every bit, every moment.

    .venv/bin/python tests/benchmarks/soak.py [faults] [flips] [kills]

faults: a sweep without JAX (tests/fault_trials.py) is disturbed at each of its operations on files
by each kind of fault of tests/faulty_files.py, and run again: it must leave the same bytes.
flips: one random bit of a file of a run directory is flipped and the file read, 100,000 times: it
must be refused, or read as the same numbers.
kills: a small sweep is killed at random moments until it is done, 200 times: it must leave the same
bytes, and must not need more memory than one that was left alone.

The exit code is 1 if anything fails. Without arguments all three run.
"""

import argparse
import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
from fault_trials import operations, stored, trial  # noqa: E402
from faulty_files import KINDS  # noqa: E402

import ratedistortion as rd  # noqa: E402
from ratedistortion.errors import RateDistortionError, Stopped  # noqa: E402
from ratedistortion.events import Measured  # noqa: E402
from ratedistortion.run_directory import npz_files, reading  # noqa: E402
from ratedistortion.run_directory.model_files import model_path, read_model  # noqa: E402
from ratedistortion.sweeping.manifest import Manifest  # noqa: E402

FLIPS, KILLED_SWEEPS = 100_000, 200
SMALL = {"dataset": "digits", "latents": 2, "hidden": (8,), "steps": 40, "max_examples": 100}
KILLED = (
    *(
        "--dataset",
        "digits",
        "--betas",
        "0.5,2",
        "--seeds",
        "4",
        "--latents",
        "2",
        "--steps",
        "400",
    ),
    *("--hidden", "8", "--codes", "200", "--runs-at-once", "2"),
    *("--save-posteriors", "--quiet"),
)


def faults(folder: Path) -> int:
    """Every kind of fault at every operation; returns how many trials failed."""
    path, trials, failures = folder / "faults", 0, 0
    count, writes = operations(path)
    expected = stored(path)
    for kind in KINDS:
        places = writes if kind in ("torn", "short") else range(count)
        found = {place: trial(path, kind, place, expected) for place in places}
        wrong = {place: text for place, text in found.items() if text}
        for place, text in wrong.items():
            print(f"  {kind} at operation {place}: {text}")
        trials, failures = trials + len(found), failures + len(wrong)
    print(f"faults: {count} operations, {len(KINDS)} kinds: {trials} trials, {failures} failures")
    return failures


def flips(folder: Path) -> int:
    """One flipped bit in any file; returns how many were read as other numbers."""
    settings = rd.Settings(betas=(0.5, 2.0), save_posteriors=True, **SMALL)
    whole, stopped = folder / "whole", folder / "stopped"
    rd.sweep(settings, whole, progress=False)
    measured: list[Any] = []

    def listen(event: Any) -> None:
        measured.extend([event] if isinstance(event, Measured) else [])

    try:
        rd.sweep(settings, stopped, listen, lambda: "SIGTERM" if measured else None, progress=False)
    except Stopped:
        pass
    readers = {file: read for path in (whole, stopped) for file, read in _readers(path).items()}
    right = {file: _comparable(read()) for file, read in readers.items()}
    contents = {file: file.read_bytes() for file in readers}
    chance, outcomes = random.Random(0), Counter()
    files = sorted(readers)
    for _ in range(FLIPS):
        file = chance.choice(files)
        flipped, bit = bytearray(contents[file]), chance.randrange(8 * len(contents[file]))
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            same = _comparable(readers[file]()) == right[file]
        except RateDistortionError:
            outcome = "refused"
        else:
            outcome = "read as the same" if same else "READ AS OTHER NUMBERS"
            if not same:
                print(f"  {file.relative_to(folder)}, bit {bit}")
        outcomes[outcome] += 1
        file.write_bytes(contents[file])
    print(f"flips: {FLIPS:,} bits of {len(files)} files: {dict(outcomes)}")
    return outcomes["READ AS OTHER NUMBERS"]


def _readers(path: Path) -> dict[Path, Callable[[], Any]]:
    """Every file of a run directory that numbers are read from, and what reads it."""
    manifest = Manifest.read(path)
    assert manifest is not None
    (part,) = manifest.parts()
    chunk = reading.ChunkFiles(path, 0, part.sweep_id)
    readers: dict[Path, Callable[[], Any]] = {
        path / reading.MANIFEST: lambda: getattr(Manifest.read(path), "values", None),
        path / reading.DATA: lambda: npz_files.read_data(path),
    }
    for name in (reading.STATE, reading.ROWS, reading.RESULT):
        if chunk.path(name).exists():
            readers[chunk.path(name)] = lambda name=name: chunk.read(name)
    if (path / reading.TABLE).exists():
        kept = rd.read(path).attrs["ratedistortion"]["images_sha256"]
        readers[path / reading.TABLE] = lambda: rd.read(path)
        readers[path / reading.IMAGES] = lambda: npz_files.read_images(path, kept)
        for file in (path / reading.POSTERIORS).iterdir():
            readers[file] = lambda file=file: npz_files.read_posteriors(file)
        for label, written in reading.read_results(path)[0]["models"].items():
            file = model_path(path, label)
            readers[file] = lambda file=file, written=written: read_model(file, written, "")
    return readers


def _comparable(found: Any) -> Any:
    """What was read, so that equal values are equal and other ones are not."""
    if hasattr(found, "to_json"):
        return found.to_json(double_precision=15), found.attrs
    if isinstance(found, np.ndarray):
        return found.dtype.str, found.shape, found.tobytes()
    if isinstance(found, dict):
        return {name: _comparable(value) for name, value in found.items()}
    return [_comparable(each) for each in found] if isinstance(found, tuple) else found


def kills(folder: Path) -> int:
    """Sweeps that are killed every few seconds; returns how many did not end as the first."""
    left_alone = folder / "left alone"
    began = time.monotonic()
    code, memory = _run(left_alone, None)
    longest = time.monotonic() - began
    assert code == 0
    expected = _results(left_alone)

    def sweep(n: int) -> tuple[int, int, bool]:
        chance, path, starts, most = random.Random(n), folder / f"killed {n}", 0, 0
        while True:
            code, used = _run(path, chance.uniform(0, longest))
            starts, most = starts + 1, max(most, used)
            if code == 0:
                break
            if code != -9 or starts > 100:
                print(f"  sweep {n} ended with {code} at start {starts}")
                return starts, most, False
        same = _results(path) == expected
        shutil.rmtree(path)
        return starts, most, same

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(sweep, range(KILLED_SWEEPS)))
    most = max(used for _, used, _ in found)
    failures = sum(not same for _, _, same in found) + (most > 1.2 * memory)
    print(
        f"kills: {len(found)} sweeps, {sum(starts for starts, _, _ in found)} starts, at most"
        f" {most / 1024:.0f} MiB ({memory / 1024:.0f} left alone): {failures} failures"
    )
    return failures


def _run(path: Path, seconds: float | None) -> tuple[int, int]:
    """Exit code and greatest memory in KiB of a sweep that is killed after so many seconds."""
    command = Path(sys.executable).with_name("rd-sweep")
    process = subprocess.Popen([command, path, *KILLED], stdout=subprocess.DEVNULL)
    killer = threading.Timer(seconds or 600, process.kill)
    killer.start()
    _, status, used = os.wait4(process.pid, 0)
    killer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_maxrss


def _results(path: Path) -> dict[str, bytes]:
    files = [path / reading.TABLE, path / reading.IMAGES, *(path / reading.POSTERIORS).iterdir()]
    return {file.name: file.read_bytes() for file in files}


if __name__ == "__main__":
    PARTS = {"faults": faults, "flips": flips, "kills": kills}
    parser = argparse.ArgumentParser(description=__doc__, usage="soak.py [faults] [flips] [kills]")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=list(PARTS))
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(any([PARTS[part](Path(directory)) for part in parser.parse_args().parts]))
