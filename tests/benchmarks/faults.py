"""Plants faults in the package, one at a time: does `rd-sweep --verify` see them, do the tests?

Run it with `make faults`; `faults.py "2 pi" --only verify` plants those with a text in their names.
The faults are in faults.txt. It fails if one is missed by what should have caught it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
# Folders of tests that are run after those of the fault's own folder: the quickest to see most.
TESTS = "measuring sweeping estimators table models training engine".split()
PYTEST = "-m pytest -x -q --tb=no -rfE -p no:cacheprovider".split()
VERIFY = """
import os
from ratedistortion.verify import verify

for check in verify():
    if not check.passed:
        print(check.quantity, flush=True)
        os._exit(1)  # waits for no program that is being compiled
"""
LONGEST_SECONDS = 900


class Fault(NamedTuple):
    """A text of one file of the package, and what a tired engineer makes of it."""

    file: Path
    name: str
    owed: str
    old: str
    new: str


class Seen(NamedTuple):
    """What a check found, empty if nothing, and how long it took."""

    what: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.what or 'MISSED'} ({self.seconds:.0f} s)"


def faults() -> Iterator[Fault]:
    """All faults; each has a text that is once in the files of its folder."""
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    for block in text.split("\n\n")[1:]:
        folder, *lines = block.strip("\n").split("\n")
        files = sorted((ROOT / "ratedistortion" / folder).glob("*.py"))
        for title, old, new in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
            owed, name = title.split(": ", 1)
            old, new = old.removeprefix("- "), new[1:].removeprefix(" ")
            found = [file for file in files for _ in range(file.read_text("utf-8").count(old))]
            if owed not in ("both", "tests") or len(found) != 1:
                raise SystemExit(f"{folder}, {name}: {old!r} is there {len(found)} times.")
            yield Fault(found[0].relative_to(ROOT), name, owed, old, new)


def commands(chosen: Sequence[Fault], only: str | None) -> dict[str, Sequence[str]]:
    """What Python is told to do for some faults, by who sees them."""
    folders = dict.fromkeys([*(fault.file.parent.name for fault in chosen), *TESTS])
    both = {"verify": ["-c", VERIFY], "tests": [*PYTEST, *(f"tests/{name}" for name in folders)]}
    return both if only is None else {only: both[only]}


def run(fault: Fault | None, told: Mapping[str, Sequence[str]], cache: Path) -> dict[str, Seen]:
    """What each command sees in a copy of the project that has the fault."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for part in ("ratedistortion", "tests"):
            shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", home)
        if fault:
            text = (home / fault.file).read_text(encoding="utf-8")
            (home / fault.file).write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        # Programs that a fault leaves as they are come from the cache, in tests too.
        own = {"PYTHONPATH": folder, "TMPDIR": folder, "XDG_CACHE_HOME": str(cache)}
        own |= {"JAX_COMPILATION_CACHE_DIR": str(cache / "jax")}
        own |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
        own |= {"RATEDISTORTION_TEST_CACHE": str(cache)}
        return {who: _see(command, home, os.environ | own) for who, command in told.items()}


def _see(command: Sequence[str], home: Path, environment: dict[str, str]) -> Seen:
    """A command that does not end in time is one that sees nothing."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=home, env=environment, text=True, timeout=LONGEST_SECONDS,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Seen("", LONGEST_SECONDS)
    what = ""
    if done.returncode:
        lines = done.stdout.strip().splitlines() or [f"exit code {done.returncode}"]
        failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
        what = (failed or lines)[-1].split(" - ")[0].removeprefix("FAILED tests/")
    return Seen(what, time.monotonic() - began)


def main() -> None:
    """Plants, prints a line for each, and the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="texts in the names of faults; none means all")
    parser.add_argument("--only", choices=("verify", "tests"))
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time; each needs a core")
    asked = parser.parse_args()
    chosen = [f for f in faults() if not asked.names or any(name in f.name for name in asked.names)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.jobs) as pool:
        cache = Path(folder)
        control = run(None, commands(chosen, asked.only), cache)
        print("no fault:", _line({who: seen.what or "passes" for who, seen in control.items()}))
        if any(seen.what for seen in control.values()):
            raise SystemExit("Something fails without a fault: mend that first.")
        told = {
            pool.submit(run, fault, commands([fault], asked.only), cache): fault for fault in chosen
        }
        missed, caught = [], dict.fromkeys(control, 0)
        for done in as_completed(told):
            fault, found = told[done], done.result()
            print(f"{fault.file}: {fault.name}: {_line(found)}", flush=True)
            for who, seen in found.items():
                caught[who] += bool(seen.what)
                if not seen.what and who in ("tests", fault.owed.replace("both", "verify")):
                    missed.append(f"{who} owes {fault.name}")
    print(f"of {len(chosen)} faults:", _line(caught), *missed, sep="\n")
    raise SystemExit(bool(missed))


def _line(found: Mapping[str, object]) -> str:
    return "; ".join(f"{who} {what}" for who, what in found.items())


if __name__ == "__main__":
    main()
