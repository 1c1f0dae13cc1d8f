"""Truths by closed form and quadrature: units, mixtures of one latent, a linear-Gaussian sweep."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from ratedistortion import api, estimators
from ratedistortion.events import Report
from ratedistortion.settings import Settings
from ratedistortion.table.units import per_nat
from ratedistortion.theory import linear_gaussian_optimum
from ratedistortion.verify.check import Check

# The Gaussian source of the sweep, variance by dimension, and the decoder's standard deviation.
_VARIANCES, _SCALE = (4.0, 1.0, 0.25), math.sqrt(0.2)
_BETAS = (0.5, 0.7, 1.0, 1.4, 2.0)
# Equally weighted posteriors of one latent: their means and their common standard deviation. The
# last ones are two pairs whose distance is many scales: float32 log densities would be off by nats.
_MIXTURES = (
    ((-1.0, 1.0), 1.0),
    ((-1.0, 1.0), 0.5),
    ((-1.5, -0.5, 0.5, 1.5), 0.5),
    ((-10.0, -9.999, 10.0, 10.001), 0.001),
)
# Codes drawn of each mixture.
_CODES = 40_000
# Number of equal posteriors. It is no multiple of 2,048, the posteriors in one tile.
_EQUAL = 2049


def units() -> list[Check]:
    """Checks the factors between units of the printed tables."""
    factors = {
        "1 nat in bits": per_nat("bits", 8),
        "8 nats of 8 pixels, bits-per-dim": 8 * per_nat("bits-per-dim", 8),
    }
    return [Check(name, 1 / math.log(2), factor, 1e-12) for name, factor in factors.items()]


def mixtures() -> list[Check]:
    """Checks I(n;z) and the marginal KL of mixtures by quadrature, and a bound of equal ones."""
    checks = []
    for means, scale in _MIXTURES:
        information, marginal = _quadrature(np.array(means), scale)
        with jax.enable_x64(True):
            own = jnp.arange(_CODES) % len(means)
            posteriors = estimators.Posteriors(
                jnp.array(means)[:, None], jnp.full((len(means), 1), scale, jnp.float64)
            )
            noise = jax.random.normal(jax.random.key(0), (_CODES, 1), jnp.float64)
            codes = posteriors.mean[own] + scale * noise
            terms = estimators.mixture_terms(noise, own, posteriors)
            log_prior = norm.logpdf(codes[:, 0])
            measured = {
                "I(n;z)": (information, estimators.estimate(terms.information)),
                "marginal KL": (marginal, estimators.estimate(terms.log_mixture - log_prior)),
            }
        name = f"{len(means)} posteriors, scale {scale:g}"
        checks += [
            Check(f"{symbol}, {name}", truth, float(got.value), 4 * float(got.standard_error))
            for symbol, (truth, got) in measured.items()
        ]
    with jax.enable_x64(True):
        equal = estimators.Posteriors(*jnp.ones((2, _EQUAL, 1), jnp.float64))
        bound = estimators.bhattacharyya_lower_bound(jnp.arange(9), equal)
    name = f"lower bound of I(n;z), {_EQUAL:,} equal posteriors"
    return [*checks, Check(name, 0.0, float(bound.value), 1e-5)]


def _quadrature(means: np.ndarray, scale: float) -> tuple[float, float]:
    """I(n;z) and KL(q(z) || N(0, 1)) of a mixture of one latent, by the trapezoidal rule."""
    z = np.linspace(means.min() - 12 * scale, means.max() + 12 * scale, 40_001)
    log_q = norm.logpdf(z, means[:, None], scale)
    log_mixture = np.logaddexp.reduce(log_q) - math.log(len(means))
    information = np.trapezoid((np.exp(log_q) * (log_q - log_mixture)).mean(0), z)
    marginal = np.trapezoid(np.exp(log_mixture) * (log_mixture - norm.logpdf(z)), z)
    return float(information), float(marginal)


def linear_gaussian(report: Report) -> Iterator[Check]:
    """Checks a whole sweep: a linear model of a Gaussian source, whose optima are known.

    Args:
        report: Called with every event of the sweep.

    Yields:
        A check of each measured number at each beta, in nats per image, then of the slopes.

    Source: reverse water-filling; Cover and Thomas, "Elements of Information Theory", 2006, 10.3.
    """
    settings = Settings(
        dataset="gaussian:" + ",".join(f"{variance:g}" for variance in _VARIANCES),
        max_examples=25_000,
        codes=4_000,
        encoder="linear",
        decoder="linear",
        likelihood="gaussian",
        likelihood_scale=_SCALE,
        latents=3,
        betas=_BETAS,
        steps=5_000,
        iwae=20,
    )
    with tempfile.TemporaryDirectory() as folder:
        table = api.sweep(settings, Path(folder) / "verify", report, progress=False)
    rows = table.query("split == 'train'").to_dict("records")
    optima = [linear_gaussian_optimum(np.array(_VARIANCES), _SCALE, beta) for beta in _BETAS]
    for found, best in zip(rows, optima, strict=True):
        truths = {
            "rate": best.rate,
            "distortion": best.distortion,
            "mutual_information": best.rate,
            "marginal_kl": 0.0,
        }
        if found["beta"] == 1:  # there q(z|x) is p(z|x), and every bound of -log p(x) is tight
            truths["nll_iwae"] = best.rate + best.distortion
        for name, truth in truths.items():
            slack = 0.01 if name == "marginal_kl" else 0.01 * abs(truth)
            tolerance = 4 * found[f"{name}_se"] + slack
            label = f"{name.replace('_', ' ')} at beta {found['beta']:g}"
            yield Check(label, truth, found[name], tolerance)
    # Along the exact curve dD/dR = -beta, so the chord of two optima is known too.
    for a, b, first, second in zip(rows, rows[1:], optima, optima[1:], strict=False):
        truth = (first.distortion - second.distortion) / (first.rate - second.rate)
        slope = (a["distortion"] - b["distortion"]) / (a["rate"] - b["rate"])
        label = f"slope from beta {a['beta']:g} to {b['beta']:g}"
        yield Check(label, truth, slope, 0.05 * abs(truth))
