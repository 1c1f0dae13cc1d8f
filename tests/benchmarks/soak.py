"""Disturbs every operation on files in every way.

    .venv/bin/python tests/benchmarks/soak.py [KIND ...]

A sweep without JAX (tests/fault_trials.py) is disturbed at each of its operations on files by each
kind of fault of tests/faulty_files.py, and run again. The exit code is 1 if it leaves other bytes.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fault_trials import operations, stored, trial  # noqa: E402
from faulty_files import KINDS  # noqa: E402


def soak(kinds: Sequence[str]) -> int:
    """Prints what each of these kinds did; returns how many trials failed."""
    with tempfile.TemporaryDirectory() as folder:
        path, trials, failures = Path(folder) / "run", 0, 0
        count, writes = operations(path)
        expected = stored(path)
        for kind in kinds:
            places = writes if kind in ("torn", "short") else range(count)
            found = {place: trial(path, kind, place, expected) for place in places}
            wrong = {place: text for place, text in found.items() if text}
            for place, text in wrong.items():
                print(f"  {kind} at operation {place}: {text}")
            print(f"{kind}: {len(found)} trials, {len(wrong)} failures", flush=True)
            trials, failures = trials + len(found), failures + len(wrong)
    print(f"{count} operations, {len(kinds)} kinds: {trials} trials, {failures} failures")
    return failures


if __name__ == "__main__":
    sys.exit(1 if soak(sys.argv[1:] or KINDS) else 0)
