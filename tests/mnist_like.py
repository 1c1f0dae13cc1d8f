"""Tables shaped like a sweep of binarised MNIST, for the tests that read and draw tables."""

import numpy as np

from ratedistortion.run_directory import reading
from ratedistortion.run_directory.sealed import seal
from ratedistortion.table import parquet

BETAS = (0.01, 0.1233, 0.4329, 0.8111, 1.52, 2.848, 5.337, 10.0)
RATE = (153.7, 71.6, 39.1, 24.8, 14.6, 8.54, 4.10, 1.27)
DISTORTION = (58.4, 61.9, 72.8, 84.4, 100.7, 119.7, 149.9, 182.5)
INFORMATION = (9.210, 9.210, 9.205, 9.165, 8.887, 7.214, 3.716, 1.200)


def rows(betas=BETAS, seeds=2, diverged=(), suspect=(), split="test", **columns):
    """One row per (beta, seed), between the figures above; `columns` replace values.

    `suspect` has the runs whose numbers contradict each other; these failed the identity.
    """
    found = []
    place = np.log(np.maximum(betas, BETAS[0]))
    measured = [np.interp(place, np.log(BETAS), y) for y in (RATE, DISTORTION, INFORMATION)]
    for beta, *values in zip(betas, *measured, strict=True):
        for seed in range(seeds):
            row = {
                "dataset": "binarized_mnist", "split": split, "beta": beta, "seed": seed,
                "encoder": "mlp", "decoder": "mlp", "prior": "standard", "likelihood": "bernoulli",
                "latents": 32, "dimensions": 784, "examples": 10_000, "steps": 3000,
                "information_kind": "exact",
                "log_examples": np.log(10_000),
            }  # fmt: skip
            if (beta, seed) in diverged:
                found.append(row | {"status": "diverged", "diverged_at_step": 40})
                continue
            rate, distortion, information = (float(value) + 0.1 * seed for value in values)
            information = min(information, np.log(10_000))
            measured_row = {
                "status": "ok", "rate": rate, "rate_se": 0.1, "distortion": distortion,
                "distortion_se": 0.3, "negative_elbo": rate + distortion, "negative_elbo_se": 0.3,
                "mutual_information": information, "mutual_information_se": 0.01,
                "mutual_information_lower": information - 0.3,
                "mutual_information_upper": min(information + 0.3, np.log(10_000)),
                "saturated": bool(information > np.log(10_000) - 1),
                "marginal_kl": rate - information, "marginal_kl_se": 0.1,
                "marginal_kl_gaussian": 0.5 * (rate - information), "identity_residual": 0.0,
                "population_information_upper": rate, "active_units": 20, "codes": 10_000,
                "identity_residual_se": 0.001, "mutual_information_lower_se": 0.01,
                "mutual_information_upper_se": 0.01,
            }  # fmt: skip
            if (beta, seed) in suspect:
                measured_row |= {"status": "suspect", "failed_checks": "identity; R below 0"}
            found.append(row | measured_row | columns)
    return found


def read(folder, found, **settings):
    """The table of rows, through a file."""
    path = folder / "rd.parquet"
    path.write_bytes(parquet.write(found, {"settings": settings}))
    return parquet.read(path)


def images(betas=BETAS, seeds=2, count=6, shape=(8, 8, 1)):
    """Pictures for a gallery: grey ramps."""
    runs = len(betas) * seeds
    ramp = np.linspace(0, 1, count * int(np.prod(shape)), dtype=np.float32).reshape(count, *shape)
    return {
        "originals": ramp,
        "reconstructions": np.stack([ramp**2] * runs),
        "samples": np.stack([1 - ramp] * runs),
        "beta": np.repeat(betas, seeds),
        "seed": np.tile(np.arange(seeds), len(betas)),
    }


def losses(betas=BETAS, seeds=2):
    """Loss curves: an exponential decay."""
    steps = np.arange(0, 3000, 100)
    decay = np.exp(-steps / 200)
    return [
        {
            "beta": beta,
            "seed": seed,
            "steps": steps.tolist(),
            "distortion": (distortion + (540 - distortion) * decay + seed).tolist(),
            "rate": (rate * (1 - decay)).tolist(),
        }
        for beta, rate, distortion in zip(betas, RATE, DISTORTION, strict=True)
        for seed in range(seeds)
    ]


def run_directory(path, found=None, settings=None):
    """Makes what rd-plot reads of a finished run directory."""
    path.mkdir(parents=True)
    manifest = {"schema": reading.MANIFEST_VERSION, "parts": [{"sweep": "0"}]}
    empty = {"settings": {}, "versions": {}, "device": "", "data_sha256": ""}
    (path / "manifest.json").write_bytes(seal(manifest | empty))
    content = parquet.write(found or rows(), {"settings": settings or {}})
    (path / "rd.parquet").write_bytes(content)
    np.savez(path / "images.npz", **images())
    chunk = reading.ChunkFiles(path, 0, "0")
    chunk.path("result").parent.mkdir(parents=True)
    result = {"rows": [], "losses": losses(), "posteriors": {}}
    chunk.path("result").write_bytes(seal(chunk.owner | result))
    return path
