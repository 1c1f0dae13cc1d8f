"""`rd-sweep` as its users run it: a process of its own, timed from its start to its end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_COMMAND = (sys.executable, "-c", "from ratedistortion.cli.sweep import main; main()")
_DIVERGED = 3


def rd_sweep(run_dir: Path, options: Sequence[str], cache: Path) -> dict[str, Any]:
    """Runs a sweep.

    Args:
        run_dir: Where to; must not exist.
        options: Of `rd-sweep`.
        cache: Stands for the user's cache folder; compiled programs are kept in it.

    Returns:
        What `--json` prints, and `process_seconds`, from the start of Python to its end.

    Raises:
        RuntimeError: If the sweep fails; runs that diverge are no failure.
    """
    environment = {name: v for name, v in os.environ.items() if not name.startswith("JAX_COMPIL")}
    environment["XDG_CACHE_HOME"] = str(cache.resolve())
    command = [*_COMMAND, str(run_dir), "--json", "--quiet", *options]
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, _DIVERGED):
        raise RuntimeError(f"rd-sweep ended with code {done.returncode}: {' '.join(command[3:])}")
    return {**json.loads(done.stdout), "process_seconds": seconds}
