"""Measuring: the exact N-way information, of 10,000 codes against all posteriors."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import Bench, Row, in_turn, row

from ratedistortion.estimators import Posteriors, mixture_terms

CODES = 10_000
# Posteriors and latents.
SHAPES = ((20_000, 2), (20_000, 16), (20_000, 64), (60_000, 32))
COLUMNS = {"time": "s", "speed": "billion pairs/s"}


def measure(bench: Bench) -> list[Row]:
    """Seconds, and pairs of code and posterior a second."""
    small, rows = 10 if bench.quick else 1, []
    for count, latents in SHAPES:
        task = _information(count // small, CODES // small, latents)
        (seconds,) = in_turn({"engine": task}, bench.rounds).values()
        speeds = [CODES // small * (count // small) / each / 1e9 for each in seconds]
        case = f"N {count // small:,}, d {latents}"
        rows.append(row("information", case, "engine", "time", "s", seconds))
        rows.append(row("information", case, "engine", "speed", "billion pairs/s", speeds))
    return rows


def _information(count: int, codes: int, latents: int) -> Callable[[], float]:
    """A competitor: the terms of `codes` codes, of posteriors whose means are standard normal."""
    random, scale = np.random.default_rng(0), 0.5
    with jax.enable_x64(True):
        mean = jnp.asarray(random.normal(size=(count, latents)))
        posteriors = Posteriors(mean, jnp.full_like(mean, scale))
        own = jnp.arange(codes) % count
        z = mean[own] + scale * random.normal(size=(codes, latents))
        terms: Any = jax.jit(mixture_terms)

    def competitor() -> float:
        with jax.enable_x64(True):
            began = time.perf_counter()
            jax.block_until_ready(terms(z, own, posteriors))
            return time.perf_counter() - began

    return competitor
