"""The ceiling: what a large matrix product and a copy reach on this machine."""

from ceiling import Copy, MatrixProduct
from machine import Bench
from results import Row, row
from timing import in_turn


def measure(bench: Bench) -> list[Row]:
    """GFLOP/s in float32 and float64, and GB/s, each of one of JAX's devices."""
    products = {dtype: MatrixProduct(dtype) for dtype in ("float32", "float64")}
    copy = Copy()
    seconds = in_turn({**products, "copy": copy}, bench.rounds)
    rows = []
    for dtype, product in products.items():
        speeds = [product.operations / each / 1e9 for each in seconds[dtype]]
        rows.append(row("machine", "matrix product", dtype, "speed", "GFLOP/s", speeds))
    speeds = [copy.bytes / each / 1e9 for each in seconds["copy"]]
    rows.append(row("machine", "copy", "float32", "speed", "GB/s", speeds))
    return rows
