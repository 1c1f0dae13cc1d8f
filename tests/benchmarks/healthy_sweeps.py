"""Sweeps of random settings, none of which should be suspect: `make healthy`.

Sweep n has the same settings whenever it is run. Its rows are appended to the file as they come,
and sweeps that the file has are not run again, so that a stopped program goes on; what is printed
at the end is about the whole file. A sweep takes 10 seconds on two free cores, most of it
compilation; with XLA_FLAGS=--xla_backend_optimization_level=0 it takes 7.
"""

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import ratedistortion
from ratedistortion.errors import DatasetError, SettingsError
from ratedistortion.settings import from_mapping

SEED = 20


def main() -> None:
    """Runs what is missing, then prints every finding and the counts of all."""
    parser = argparse.ArgumentParser(description="Sweeps of random settings, none suspect.")
    parser.add_argument("--sweeps", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/healthy.jsonl"))
    asked = parser.parse_args()
    # Hardly a program is used twice: keeping them would only fill the user's cache.
    jax.config.update("jax_enable_compilation_cache", False)
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.touch()
    sweeps = [json.loads(line) for line in asked.output.read_text().splitlines()]
    done = {sweep["number"] for sweep in sweeps}
    for number in sorted(set(range(asked.first, asked.first + asked.sweeps)) - done):
        sweeps.append(one_sweep(number))
        with asked.output.open("a") as file:
            file.write(json.dumps(sweeps[-1]) + "\n")
        print(f"sweep {number}: {sweeps[-1]['seconds']:.1f} s", flush=True)
        jax.clear_caches()
    report(sweeps)


def one_sweep(number: int) -> dict[str, Any]:
    """Draws settings until they go together, and sweeps: settings, seconds, rows, or its error."""
    random = np.random.default_rng([SEED, number])
    while True:
        drawn, began, found = draw(random), time.perf_counter(), {}
        with tempfile.TemporaryDirectory() as folder:
            dataset, path = drawn["dataset"], Path(folder, "vectors.npy")
            if dataset in MADE:
                np.save(path, MADE[dataset](vectors(np.random.default_rng([SEED, number]))))
                dataset = str(path)
            try:
                settings = from_mapping({**drawn, "dataset": dataset}, f"sweep {number}")
                table = ratedistortion.sweep(settings, Path(folder, "run"))
                found = {"rows": json.loads(table.to_json(orient="records", double_precision=15))}
            except (SettingsError, DatasetError):
                continue
            except Exception as error:  # whatever it is, it is a finding
                found = {"rows": [], "error": f"{type(error).__name__}: {error}"}
        seconds = time.perf_counter() - began
        return {"number": number, "settings": drawn, "seconds": seconds, **found}


def draw(random: np.random.Generator) -> dict[str, Any]:
    """Settings that may go together."""

    def one_of(*choices: Any, p: list[float] | None = None) -> Any:
        return choices[random.choice(len(choices), p=p)]

    def between(low: float, high: float) -> float:
        return float(math.exp(random.uniform(math.log(low), math.log(high))))

    def sometimes(share: float, value: Any, otherwise: Any) -> Any:
        return value if random.random() < share else otherwise

    variances = ",".join(f"{between(0.05, 10):.3g}" for _ in range(random.integers(1, 12)))
    kind = one_of("binary digits", "grey digits", "bits", "vectors", p=[0.25, 0.15, 0.2, 0.4])
    values: dict[str, Any] = {"dataset": "digits", "likelihood": "bernoulli"}
    if kind == "binary digits":
        values["binarize"] = one_of("dynamic", "threshold", "static")
    elif kind == "grey digits":
        values["likelihood"] = one_of("discretized-logistic", "categorical", "gaussian")
        values["levels"] = one_of(17, 5, 2)
    elif kind == "bits":
        dimensions = random.integers(2, 33)
        patterns = f"patterns:{random.integers(2, 65)},{dimensions},{between(0.005, 0.3):.3g}"
        values["dataset"] = one_of(f"bernoulli:{random.random():.3f},{dimensions}", patterns)
    else:
        values["dataset"] = one_of(f"gaussian:{variances}", *MADE, p=[0.3, *[0.1] * len(MADE)])
        values["likelihood"] = "gaussian"
    if values["likelihood"] == "gaussian":
        values["likelihood_scale"] = sometimes(0.4, 1.0, between(0.05, 5))
    betas = [between(1e-3, 30) for _ in range(random.integers(3, 6))] + sometimes(0.1, [0.0], [])
    rates = sorted(between(0.3, 20) for _ in range(3))
    steps = round(between(20, 400))
    return values | {
        "max_examples": round(between(150, 2000)), "betas": sorted(betas),
        "seeds": sometimes(0.2, 2, 1),
        "encoder": one_of("linear", "mlp", "iaf", "conv", p=[0.25, 0.45, 0.2, 0.1]),
        "decoder": one_of("linear", "mlp", "made", "deconv", p=[0.25, 0.45, 0.2, 0.1]),
        "prior": one_of("standard", "diagonal", "mixture", "vamp", "maf"),
        "components": round(between(1, 30)), "latents": round(between(1, 64)),
        "hidden": one_of([16], [64], [32, 32], [64, 64]), "channels": [4, 8],
        "steps": steps, "batch_size": round(between(10, 128)),
        "learning_rate": between(5e-4, 1e-2), "codes": round(between(2, 10_000)),
        "iwae": sometimes(0.5, 0, round(between(1, 20))),
        "free_bits": sometimes(0.1, between(0.01, 0.5), 0.0),
        "warmup": sometimes(0.2, steps // 2, 0), "select": sometimes(0.2, "best", "last"),
        "target_rates": sometimes(0.1, rates, []),
    }  # fmt: skip


def vectors(random: np.random.Generator) -> np.ndarray:
    """Standardised vectors of three causes and some noise."""
    count, dimensions = random.integers(180, 2400), random.integers(3, 20)
    causes = random.standard_normal((count, 3)) @ random.standard_normal((3, dimensions))
    x = causes + 0.3 * random.standard_normal((count, dimensions))
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


# Name of a file's data -> what makes it of standardised vectors.
MADE = {
    "standardised": lambda x: x,
    "sd 5": lambda x: 5 * x,
    "sd 10": lambda x: 10 * x,
    "mean 50": lambda x: 50 + x,
    "one wide column": lambda x: np.hstack([30 * x[:, :1], x[:, 1:]]),
    "raw": lambda x: np.clip(np.round(127.5 + 60 * x), 0, 255),
    "repeated": lambda x: np.repeat(x[: len(x) // 3], 3, axis=0),
}


def report(sweeps: list[dict[str, Any]]) -> None:
    """Prints what crashed, diverged or is suspect, then the counts and the residuals."""
    for sweep in sweeps:
        bad = [row for row in sweep["rows"] if row["status"] != "ok"]
        if bad or "error" in sweep:
            print(f"\nsweep {sweep['number']}: {sweep['settings']}\n{sweep.get('error', '')}")
        for row in bad:
            print({name: value for name, value in row.items() if value is not None})
    rows = [row for sweep in sweeps for row in sweep["rows"]]
    diverged, suspect = (sum(r["status"] == s for r in rows) for s in ("diverged", "suspect"))
    errors = [row for row in rows if row["identity_residual_se"]]
    z = np.array([row["identity_residual"] / row["identity_residual_se"] for row in errors])
    print(
        f"\n{len(sweeps)} sweeps, {sum('error' in each for each in sweeps)} crashed;"
        f" {len(rows)} rows, {diverged} diverged, {suspect} suspect;"
        f" residual / error of {len(z)} rows: sd {z.std():.2f}, largest {abs(z).max():.2f}."
    )


if __name__ == "__main__":
    main()
