"""What this machine reaches on one large matrix product and on one copy, of one device.

Run by itself it prints one JSON object, so that who holds no device can ask.
"""

import json
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp


class MatrixProduct:
    """A large square product; a call returns the seconds of one.

    Args:
        dtype: `float32` or `float64`.
        precision: JAX's name: `default`, `high` or `highest`; on a CPU all are the same.
    """

    def __init__(self, dtype: str = "float32", precision: str = "default") -> None:
        on_cpu = jax.default_backend() == "cpu"
        size, self._repeats = (2048, 2) if on_cpu else (8192, 10)
        self.operations = 2 * size**3
        self._wide = dtype == "float64"
        with jax.enable_x64(self._wide):
            self._matrix = jax.random.normal(jax.random.key(0), (size, size), dtype)
            self._product = jax.jit(lambda a: jnp.matmul(a, a, precision=precision))
            jax.block_until_ready(self._product(self._matrix))

    def __call__(self) -> float:
        with jax.enable_x64(self._wide):
            began = time.perf_counter()
            results: list[Any] = [self._product(self._matrix) for _ in range(self._repeats)]
            jax.block_until_ready(results)
            return (time.perf_counter() - began) / self._repeats


class Copy:
    """Reading and writing an array too large for any cache; a call returns the seconds of one."""

    def __init__(self) -> None:
        count = 2**25 if jax.default_backend() == "cpu" else 2**29
        self.bytes = 2 * 4 * count
        self._array = jnp.zeros(count, jnp.float32)
        self._copy = jax.jit(lambda x: x + 1)  # a plain copy, XLA would leave out
        jax.block_until_ready(self._copy(self._array))

    def __call__(self) -> float:
        began = time.perf_counter()
        jax.block_until_ready(self._copy(self._array))
        return time.perf_counter() - began


def main() -> None:
    """Prints the best of five: GFLOP/s by precision, GB/s of a copy."""
    numbers = {}
    for precision in ("default", "high", "highest"):
        product = MatrixProduct("float32", precision)
        numbers[precision] = product.operations / min(product() for _ in range(5)) / 1e9
    copy = Copy()
    numbers["copy"] = copy.bytes / min(copy() for _ in range(5)) / 1e9
    json.dump(numbers, sys.stdout)


if __name__ == "__main__":
    main()
