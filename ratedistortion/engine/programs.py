"""Compiled programs by their names, each compiled once, in the background where that is asked."""

import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

# Programs that are compiled at once on a CPU; each keeps about one core and a half busy.
_AT_ONCE = 2


class Programs:
    """Programs that are compiled while a device is at work on others.

    The compilers of other devices than CPUs time kernels on them: one by one, and only when asked.

    Args:
        lower: A method, from a name to what JAX compiles; called in a thread, with JAX's settings
            as they are in a new one, and never in two at once, which would wait for each other at
            every turn. It is held weakly: with its object these programs end too, and at once, as
            a device's memory goes with them.
        platform: `cpu` or another name of JAX's.

    Attributes:
        seconds: That were spent waiting for programs.
    """

    def __init__(self, lower: Callable[[str], jax.stages.Lowered], platform: str) -> None:
        self.seconds = 0.0
        self._lower, self._on_cpu = weakref.WeakMethod(lower), platform == "cpu"
        self._lowering = threading.Lock()
        self._threads = ThreadPoolExecutor(_AT_ONCE if self._on_cpu else 1)
        self._begun: dict[str, Future[Any]] = {}
        self._ready: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The program, when it is compiled; what went wrong in that is raised here."""
        if name not in self._ready:
            began = time.perf_counter()
            self._begin(name)
            self._ready[name] = self._begun.pop(name).result()
            self.seconds += time.perf_counter() - began
        return self._ready[name]

    def ahead(self, *names: str) -> None:
        """Begins to compile what will soon be asked for, most urgent first."""
        if self._on_cpu:
            for name in names:
                self._begin(name)

    def cancel(self) -> None:
        """Compiles nothing more that was not begun: nobody will ask."""
        for program in self._begun.values():
            program.cancel()

    def _begin(self, name: str) -> None:
        lower = self._lower()
        if lower and name not in self._begun and name not in self._ready:
            self._begun[name] = self._threads.submit(_compile, lower, name, self._lowering)


def _compile(lower: Callable[[str], jax.stages.Lowered], name: str, one: threading.Lock) -> Any:
    with one:
        lowered = lower(name)
    return lowered.compile()
