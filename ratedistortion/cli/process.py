"""Settings of the whole process, which JAX reads when it starts: made by the commands alone."""

import contextlib
import os

from ratedistortion.files import cache_folder

# Programs that take this long to compile are kept for the next sweep, in seconds.
_KEPT_SECONDS = "0.3"
_CACHE = "JAX_COMPILATION_CACHE_DIR"


def set_up_process(deterministic: bool) -> None:
    """Sets JAX's environment, where the user has not; it must run before JAX is imported.

    Compiled programs are kept in the user's cache folder. Sums on a GPU are the same in every run
    if asked for.

    Args:
        deterministic: Whether the same command gives the same bits on a GPU too.
    """
    if _CACHE not in os.environ:
        folder = cache_folder() / "compiled"
        # A home that cannot be written costs time, and the sweep goes on.
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.environ[_CACHE] = str(folder)
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", _KEPT_SECONDS)
    flag = "--xla_gpu_deterministic_ops"
    flags = os.environ.get("XLA_FLAGS", "")
    if deterministic and flag not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}=true".strip()
