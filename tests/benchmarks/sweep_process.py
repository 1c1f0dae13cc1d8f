"""`rd-sweep` as its users run it: a process of its own, timed from its start to its end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The command, and on standard error the moment when its first steps were done; _STOP: no more.
_PROGRAM = """
import os, signal, sys, time
from ratedistortion.events import Trained
from ratedistortion.progress import Progress
from ratedistortion.cli.sweep import main
shown, show = [], Progress.report
def report(self, event):
    if isinstance(event, Trained) and event.steps and not shown:
        shown.append(print(_FIRST, time.monotonic(), file=sys.stderr))
        if _STOP:
            os.kill(os.getpid(), signal.SIGTERM)
    show(self, event)
Progress.report = report
main()
"""
_FIRST = "first steps done at"
_DIVERGED, _STOPPED = 3, 75


def rd_sweep(
    run_dir: Path, options: Sequence[str], cache: Path, stop: bool = False
) -> dict[str, Any]:
    """Runs a sweep.

    Args:
        run_dir: Where to; must not exist.
        options: Of `rd-sweep`.
        cache: Stands for the user's cache folder; compiled programs are kept in it.
        stop: Whether the first step is enough.

    Returns:
        In seconds from the start of Python: `process_seconds`, to its end, and
        `first_step_seconds`, to the end of the first step; unless stopped, what `--json` prints.

    Raises:
        RuntimeError: If the sweep fails; runs that diverge are no failure.
    """
    environment = {name: v for name, v in os.environ.items() if not name.startswith("JAX_COMPIL")}
    environment["XDG_CACHE_HOME"] = str(cache.resolve())
    program = _PROGRAM.replace("_FIRST", repr(_FIRST)).replace("_STOP", repr(stop))
    command = [sys.executable, "-c", program, str(run_dir), "--json", "--quiet", *options]
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - began
    if done.returncode not in ((_STOPPED,) if stop else (0, _DIVERGED)):
        print(done.stderr, file=sys.stderr)
        raise RuntimeError(f"rd-sweep ended with code {done.returncode}: {' '.join(command[3:])}")
    (first,) = (line for line in done.stderr.splitlines() if line.startswith(_FIRST))
    return {
        **({} if stop else json.loads(done.stdout)),
        "process_seconds": seconds,
        "first_step_seconds": float(first.removeprefix(_FIRST)) - began,
    }
