"""What a user runs first on a new machine: every estimator against a truth from outside it."""

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion import api, estimators
from ratedistortion.settings import Settings
from ratedistortion.theory import linear_gaussian_optimum
from ratedistortion.units import per_nat

_VARIANCES, _SCALE = (4.0, 1.0, 0.25), math.sqrt(0.2)
_BETAS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
# One latent: the means and the common standard deviation of equally weighted posteriors.
_MIXTURES = (((-1.0, 1.0), 1.0), ((-1.0, 1.0), 0.5), ((-1.5, -0.5, 0.5, 1.5), 0.5))
_CODES = 40_000


class Check(NamedTuple):
    """One quantity held against its truth: it passes if |measured - truth| <= tolerance."""

    quantity: str
    truth: float
    measured: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; a nan never is."""
        return abs(self.measured - self.truth) <= self.tolerance


def verify(report: Callable[[Mapping[str, Any]], None] = lambda event: None) -> list[Check]:
    """Checks R, D, I(n;z), marginal KL and slopes of a sweep, the estimators, and the units.

    The sweep is the linear model of a Gaussian source, whose optimum is known in closed form; the
    estimators are held against quadrature over mixtures of one latent. Tolerances are 4 standard
    errors, and for what is trained 1% more; the marginal KL, 0 at the optimum, may be 0.01, as
    a finite number of images leaves some.

    Args:
        report: Told of the sweep's events.

    Returns:
        The checks, in nats but for the slopes, which are ratios, and the units.
    """
    return [*_units(), *_estimators(), *_sweep(report)]


def _units() -> list[Check]:
    return [
        Check("1 nat in bits", 1 / math.log(2), per_nat("bits", 8), 1e-12),
        Check(
            "8 nats of 8 pixels, bits-per-dim",
            1 / math.log(2),
            8 * per_nat("bits-per-dim", 8),
            1e-12,
        ),
    ]


def _estimators() -> list[Check]:
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
            log_prior = -0.5 * (codes[:, 0] ** 2 + math.log(2 * math.pi))
            measured = {
                "I(n;z)": (information, estimators.estimate(terms.information)),
                "marginal KL": (marginal, estimators.estimate(terms.log_mixture - log_prior)),
            }
        name = f"{len(means)} posteriors, scale {scale:g}"
        checks += [
            Check(f"{symbol}, {name}", truth, float(got.value), 4 * float(got.standard_error))
            for symbol, (truth, got) in measured.items()
        ]
    return checks


def _quadrature(means: np.ndarray, scale: float) -> tuple[float, float]:
    """I(n;z) and KL(q(z) || N(0, 1)) of a mixture of one latent, by the trapezoidal rule."""
    z = np.linspace(means.min() - 12 * scale, means.max() + 12 * scale, 20_001)
    log_q = -0.5 * ((z - means[:, None]) / scale) ** 2 - math.log(scale * math.sqrt(2 * math.pi))
    mixture = np.exp(log_q).mean(0)
    log_mixture = np.log(mixture)
    information = np.trapezoid((np.exp(log_q) * (log_q - log_mixture)).mean(0), z)
    log_prior = -0.5 * (z**2 + math.log(2 * math.pi))
    return float(information), float(np.trapezoid(mixture * (log_mixture - log_prior), z))


def _sweep(report: Callable[[Mapping[str, Any]], None]) -> list[Check]:
    settings = Settings(
        dataset="gaussian:" + ",".join(f"{variance:g}" for variance in _VARIANCES),
        max_examples=50_000,
        encoder="linear",
        decoder="linear",
        likelihood="gaussian",
        likelihood_scale=_SCALE,
        latents=3,
        betas=_BETAS,
        steps=20_000,
    )
    with tempfile.TemporaryDirectory() as folder:
        table = api.sweep(settings, Path(folder) / "verify", report)
    rows = table.query("split == 'train'").to_dict("records")
    optima = [linear_gaussian_optimum(np.array(_VARIANCES), _SCALE, beta) for beta in _BETAS]
    checks = []
    for row, best in zip(rows, optima, strict=True):
        truths = {
            "rate": best.rate,
            "distortion": best.distortion,
            "mutual_information": best.rate,
            "marginal_kl": 0.0,
        }
        for name, truth in truths.items():
            slack = 0.01 if name == "marginal_kl" else 0.01 * abs(truth)
            tolerance = 4 * row[f"{name}_se"] + slack
            label = f"{name.replace('_', ' ')} at beta {row['beta']:g}"
            checks.append(Check(label, truth, row[name], tolerance))
    # Along the exact curve dD/dR = -beta, so the chord of two optima is known too.
    for a, b, first, second in zip(rows, rows[1:], optima, optima[1:], strict=False):
        truth = (first.distortion - second.distortion) / (first.rate - second.rate)
        slope = (a["distortion"] - b["distortion"]) / (a["rate"] - b["rate"])
        label = f"slope from beta {a['beta']:g} to {b['beta']:g}"
        checks.append(Check(label, truth, slope, 0.05 * abs(truth)))
    return checks
