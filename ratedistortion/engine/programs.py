"""A function that is compiled once, when it is first called."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Program:
    """A compiled function of arrays whose shapes are known beforehand.

    Args:
        function: Of arrays.
        inputs: Arrays, or their shapes.
        float64: Whether the function computes in float64 where it says so.
        options: Of `jax.jit`.

    Attributes:
        seconds: Time that callers waited for the compiler.
    """

    def __init__(
        self, function: Callable[..., Any], *inputs: Any, float64: bool = False, **options: Any
    ) -> None:
        self.seconds = 0.0
        self._function, self._inputs, self._float64 = jax.jit(function, **options), inputs, float64
        self._compiled: Any = None

    @property
    def is_compiled(self) -> bool:
        """Whether a call would start at once."""
        return self._compiled is not None

    def compiled(self) -> Any:
        """The compiled function; an error of the compiler is raised."""
        if self._compiled is None:
            began = time.perf_counter()
            self._compiled = self.lower().compile()
            self.seconds += time.perf_counter() - began
        return self._compiled

    def __call__(self, *inputs: Any) -> Any:
        """The function of these arrays."""
        return self.compiled()(*inputs)

    def lower(self, platforms: tuple[str, ...] | None = None) -> jax.stages.Lowered:
        """What XLA compiles.

        Args:
            platforms: Names of JAX's such as `cuda`; None stands for this machine's.
        """
        with jax.enable_x64(self._float64):
            return self._function.trace(*self._inputs).lower(lowering_platforms=platforms)


class Programs(NamedTuple):
    """The compiled functions of an engine; `measure` has one for each split."""

    start: Program
    advance: Program
    measure: dict[str, Program]
    pictures: Program

    def all(self) -> tuple[Program, ...]:
        """Every program, in the order in which they are needed."""
        return self.start, self.advance, *self.measure.values(), self.pictures
