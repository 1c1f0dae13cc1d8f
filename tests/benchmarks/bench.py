"""The engine beside what a user would write instead, in one process: medians and ratios.

Run it with `make bench`: a few minutes on two CPU cores. Machines are noisy: read the ratios.
"""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.datasets.dataset import Dataset
from ratedistortion.devices import find_devices
from ratedistortion.engine import Engine
from ratedistortion.estimators import Posteriors, mixture_terms
from ratedistortion.models.autoencoder import make_functions
from ratedistortion.plan import Plan, RunId
from ratedistortion.settings import Settings
from ratedistortion.train import Arguments, Source, make_run

REPEATS = 5
IMAGES, PIXELS = 10_000, 784


def median_seconds(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Times the functions in turn, so that a slow minute of the machine falls on all of them."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(REPEATS + 1):
        for name, function in functions.items():
            began = time.perf_counter()
            jax.block_until_ready(function())
            if repeat:  # the first compiles
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def training(hidden: int, runs: int, steps: int) -> None:
    """Milliseconds per step and model: the engine, and a loop of jitted steps."""
    settings = Settings(
        dataset="noise", hidden=(hidden, hidden), steps=steps, betas=tuple(range(1, runs + 1))
    )
    pixels = np.random.default_rng(0).integers(0, 2, (IMAGES, PIXELS), np.uint8)
    data = Dataset("noise", pixels, {"train": pixels, "test": pixels}, (PIXELS,), 1.0, False, "")
    devices = find_devices(settings)
    ids = [RunId(beta, 0) for beta in settings.betas]

    def sweep(batching: str, count: int) -> Callable[[], object]:
        engine = Engine(settings, data, Plan(batching, count, runs, 1), devices)
        return lambda: list(engine.train(ids))[-1].state

    functions = make_functions(settings, (PIXELS,))
    run = make_run(settings, functions, Source(IMAGES, PIXELS, 1.0, False))
    arguments = Arguments(jnp.float32(1), jnp.float32(1e-3), jnp.int32(0), jnp.float32(0))
    step, images = jax.jit(run.advance, donate_argnums=0), jnp.asarray(pixels)

    def loop() -> object:
        state = run_start(arguments)
        for index in range(steps):
            state = step(state, arguments, images, np.int32(index), np.int32(index + 1))
        return state

    run_start = jax.jit(run.start)
    count = min(len(devices), runs)
    measured = median_seconds(
        {
            f"map, {count} devices": sweep("map", count),
            f"vmap, {count} devices": sweep("vmap", count),
            "vmap, 1 device": sweep("vmap", 1),
            "loop of jitted steps": loop,
        }
    )
    print(f"\ntraining, {PIXELS}-{hidden}-{hidden}, {runs} runs, batch 100")
    base = measured["loop of jitted steps"] / steps
    for name, seconds in measured.items():
        each = seconds / steps / (1 if name.startswith("loop") else runs)
        print(f"  {name:24} {each * 1e3:7.3f} ms per step and model   x{base / each:5.2f}")


def information(count: int, codes: int, latents: int, scale: float) -> None:
    """Pairs a second of the exact N-way information."""
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        mean = jnp.asarray(random.normal(size=(count, latents)))
        posteriors = Posteriors(mean, jnp.full_like(mean, scale))
        own = jnp.arange(codes)
        z = mean[:codes] + scale * random.normal(size=(codes, latents))
        terms = jax.jit(lambda z, own, p: mixture_terms(z, None, own, p))
        seconds = median_seconds({"": lambda: terms(z, own, posteriors)})[""]
    print(
        f"  N {count:6,}  codes {codes:6,}  d {latents:2}  scale {scale:<5}"
        f"  {seconds:6.2f} s  {count * codes / seconds / 1e9:.2f} billion pairs/s"
    )


def ceiling() -> None:
    """What a large matrix product reaches on this machine."""
    a = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(jnp.matmul)
    seconds = median_seconds({"": lambda: product(a, a)})[""]
    print(f"float32 matrix product: {2 * 2048**3 / seconds / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    find_devices(Settings())
    print(jax.devices())
    ceiling()
    training(64, 32, 100)
    training(256, 8, 60)
    print("\nexact information")
    for shape in ((20_000, 10_000, 16, 0.5), (20_000, 10_000, 16, 0.01), (60_000, 10_000, 32, 0.5)):
        information(*shape)
