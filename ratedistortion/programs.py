"""Compiled programs by their names, each compiled once, in the background where that is asked."""

import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

# Programs that are compiled at once on a CPU; each keeps about one core and a half busy.
_AT_ONCE = 2


class Programs:
    """Programs that are compiled while a device is at work on others.

    The compilers of other devices than CPUs time kernels on them: one by one, and only when asked.

    Args:
        compile: A method, from a name to the program; called in a thread, with JAX's settings as
            they are in a new one. It is held weakly: with its object these programs end too, and
            at once, as a device's memory goes with them.
        platform: `cpu` or another name of JAX's.

    Attributes:
        seconds: That were spent waiting for programs.
    """

    def __init__(self, compile: Callable[[str], Any], platform: str) -> None:
        self.seconds = 0.0
        self._compile, self._on_cpu = weakref.WeakMethod(compile), platform == "cpu"
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
        compile = self._compile()
        if compile and name not in self._begun and name not in self._ready:
            self._begun[name] = self._threads.submit(compile, name)
