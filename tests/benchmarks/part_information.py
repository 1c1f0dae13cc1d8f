"""Measuring: the exact N-way information, of 10,000 codes against all posteriors."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ceiling import MatrixProduct
from machine import Bench
from results import Row, row
from timing import in_turn, ratios, timed

from ratedistortion.estimators import Posteriors, mixture_terms

CODES = 10_000
SHAPES = (
    *((20_000, latents, scale) for latents in (2, 16, 64) for scale in (0.5, 0.01)),
    (60_000, 32, 0.5),
)
COLUMNS = {"time": "s", "speed": "billion pairs/s", "share": "of the float64 ceiling"}


def measure(bench: Bench) -> list[Row]:
    """Seconds, pairs a second, and the share of the ceiling, at 4 operations per pair and d."""
    product = MatrixProduct("float64")
    small, rows = 10 if bench.quick else 1, []
    codes = CODES // small
    for full, latents, scale in SHAPES:
        count = full // small
        task = information(count, codes, latents, scale)
        seconds = in_turn({"": task, "ceiling": product}, bench.rounds)
        speeds = [codes * count / each / 1e9 for each in seconds[""]]
        ceiling = [product.operations / each / 1e9 for each in seconds["ceiling"]]
        case = f"N {count:,}, d {latents}, scale {scale:g}"
        achieved = [4 * latents * speed for speed in speeds]
        for quantity, unit, values in (
            ("time", "s", seconds[""]),
            ("speed", "billion pairs/s", speeds),
            ("share", "share", ratios(achieved, ceiling)),
        ):
            rows.append(row("information", case, "engine", quantity, unit, values))
    return rows


def information(count: int, codes: int, latents: int, scale: float) -> Callable[[], float]:
    """A competitor: the terms of `codes` codes, of posteriors whose means are standard normal."""
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        mean = jnp.asarray(random.normal(size=(count, latents)))
        posteriors = Posteriors(mean, jnp.full_like(mean, scale))
        own = jnp.arange(codes) % count
        z = mean[own] + scale * random.normal(size=(codes, latents))
        terms: Any = jax.jit(mixture_terms)
    task = timed(lambda: terms(z, own, posteriors))

    def competitor() -> float:
        with jax.enable_x64(True):
            return task()

    return competitor
