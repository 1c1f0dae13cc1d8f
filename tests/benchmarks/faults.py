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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
# Between the tests of the file itself and those of its folder: what sees most in a second is first.
TESTS = (
    "fence consistency rows units subsets importance measure estimators table likelihoods flows"
).split()
# Ends at the first number that is wrong: `verify` itself goes on, to show the worst of its kind.
VERIFY = """
import os
from ratedistortion import verify
from ratedistortion.verify import known, models, training

right = verify.Check

def strict(*parts):
    check = right(*parts)
    if not check.passed:
        print(check.quantity, flush=True)
        os._exit(1)  # waits for no program that is being compiled
    return check

known.Check = models.Check = training.Check = strict
for check in verify.verify():
    pass
"""
LONGEST = 900


class Fault(NamedTuple):
    """A text of one file of the package, and what a tired engineer makes of it."""

    file: str
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
    """All faults; each has a text that is once in its file."""
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    for room in text.split("\n\n")[1:]:
        file, *lines = room.strip("\n").split("\n")
        for title, old, new in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
            owed, name = title.split(": ", 1)
            fault = Fault(file, name, owed, old.removeprefix("- "), new[1:].removeprefix(" "))
            found = (ROOT / "ratedistortion" / file).read_text(encoding="utf-8").count(fault.old)
            if owed not in ("both", "tests") or found != 1:
                raise SystemExit(f"{file}, {name}: {fault.old!r} is there {found} times, not once.")
            yield fault


def files_of_tests(file: str) -> list[str]:
    """Those that are run for a fault in this file of the package, as far as they exist."""
    names = dict.fromkeys([Path(file).stem, *TESTS, Path(file).parent.name or "objectives"])
    paths = [f"tests/test_{name}.py" for name in names]
    return [path for path in paths if (ROOT / path).exists()]


def run(fault: Fault | None, commands: Sequence[Sequence[str]], cache: Path) -> list[Seen]:
    """What each command sees in a copy of the project that has the fault."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for part in ("ratedistortion", "tests"):
            shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", home)
        if fault:
            planted = home / "ratedistortion" / fault.file
            text = planted.read_text(encoding="utf-8")
            planted.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        # Programs that a fault leaves as they are come from the cache, in tests too.
        own = {"PYTHONPATH": folder, "TMPDIR": folder, "XDG_CACHE_HOME": str(cache)}
        own |= {"JAX_COMPILATION_CACHE_DIR": str(cache / "jax")}
        own |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
        where = "import ratedistortion; print(ratedistortion.__file__)"
        imported = _output(["-c", where], home, os.environ | own)[1]
        assert Path(imported.strip()) == home / "ratedistortion" / "__init__.py", imported
        return [_see(command, home, os.environ | own) for command in commands]


def _see(command: Sequence[str], home: Path, environment: dict[str, str]) -> Seen:
    began = time.monotonic()
    code, text = _output(command, home, environment)
    what = ""
    if code:
        lines = text.strip().splitlines() or [f"exit code {code}"]
        failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
        what = (failed or lines)[-1].split(" - ")[0].removeprefix("FAILED tests/")
    return Seen(what, time.monotonic() - began)


def _output(command: Sequence[str], home: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and output; a command that does not end is one that sees nothing."""
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return 0, f"not over after {LONGEST} s"
    return done.returncode, done.stdout


def commands(tests: Sequence[str], only: str | None) -> dict[str, Sequence[str]]:
    """What Python is told to do, by who sees it."""
    pytest = ["-m", "pytest", "-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider"]
    both = {"verify": ["-c", VERIFY], "tests": [*pytest, *tests]}
    return both if only is None else {only: both[only]}


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
        every = dict.fromkeys(path for fault in chosen for path in files_of_tests(fault.file))
        control = commands(list(every), asked.only)
        seen = dict(zip(control, run(None, list(control.values()), cache), strict=True))
        print("no fault:", _line({who: found.what or "passes" for who, found in seen.items()}))
        if any(found.what for found in seen.values()):
            raise SystemExit("Something fails without a fault: mend that first.")

        def plant(fault: Fault) -> tuple[Fault, dict[str, Seen]]:
            told = commands(files_of_tests(fault.file), asked.only)
            return fault, dict(zip(told, run(fault, list(told.values()), cache), strict=True))

        missed, caught = [], dict.fromkeys(control, 0)
        for done in as_completed([pool.submit(plant, fault) for fault in chosen]):
            fault, seen = done.result()
            print(f"{fault.file}: {fault.name}: {_line(seen)}", flush=True)
            for who, found in seen.items():
                caught[who] += bool(found.what)
                if not found.what and who in ("tests", fault.owed.replace("both", "verify")):
                    missed.append(f"{who} owes {fault.name}")
    print(f"of {len(chosen)} faults:", _line(caught), *missed, sep="\n")
    raise SystemExit(bool(missed))


def _line(found: dict[str, object]) -> str:
    return "; ".join(f"{who} {what}" for who, what in found.items())


if __name__ == "__main__":
    main()
