"""Settings of the whole process, which JAX reads when it starts: made by the commands alone."""

import contextlib
import glob
import os
import re
import warnings
from pathlib import Path
from typing import Any

from ratedistortion.files import cache_folder

# Programs that take this long to compile are kept for the next sweep, in seconds.
_KEPT_SECONDS = "0.3"
_CACHE = "JAX_COMPILATION_CACHE_DIR"
# What JAX warns of when the file of a compiled program was cut off, or cannot be written.
_DAMAGED = re.compile("Error (?:reading|writing) persistent compilation cache entry for '(.+?)'")


def set_up_process(deterministic: bool) -> None:
    """Sets JAX's environment, where the user has not; it must run before JAX is imported.

    Compiled programs are kept in the user's cache folder, unless others may write it: they are
    native code. Sums on a GPU are the same in every run if asked for.

    Args:
        deterministic: Whether the same command gives the same bits on a GPU too.
    """
    if _CACHE not in os.environ and (folder := _compiled()):
        os.environ[_CACHE] = str(folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", _KEPT_SECONDS)
        _mend(folder)
    flag = "--xla_gpu_deterministic_ops"
    flags = os.environ.get("XLA_FLAGS", "")
    if deterministic and flag not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}=true".strip()


def _compiled() -> Path | None:
    """The folder of compiled programs; None where there is none that is the user's alone."""
    cache = cache_folder()
    # A home that cannot be written costs time, and the sweep goes on.
    with contextlib.suppress(OSError):
        if cache is not None:
            folder = cache / "compiled"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
            if status.st_uid == os.geteuid() and not status.st_mode & 0o022:
                return folder
    return None


def _mend(folder: Path) -> None:
    """Removes files that JAX warns of: it compiles the program again, but replaces no file."""
    show = warnings.showwarning

    def remove_or_show(message: Warning | str, *args: Any, **options: Any) -> None:
        program = _DAMAGED.match(str(message))
        if program is None:
            show(message, *args, **options)
            return
        for file in folder.glob(f"{glob.escape(program[1])}-*"):
            with contextlib.suppress(OSError):
                file.unlink()

    warnings.showwarning = remove_or_show
