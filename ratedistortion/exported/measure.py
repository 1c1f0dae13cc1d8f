"""R, I(n;z) and the marginal KL of exported posteriors, as a sweep measures its own."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from ratedistortion import estimators
from ratedistortion.errors import SettingsError
from ratedistortion.estimators import Estimate, MixtureTerms, Posteriors, dense_terms, estimate
from ratedistortion.exported.checked import Exported, Prior
from ratedistortion.measuring.consistency import Facts
from ratedistortion.measuring.information import (
    ACTIVE_VARIANCE,
    Information,
    Terms,
    gaussian_information,
    mixture_information,
    not_estimated,
)
from ratedistortion.measuring.measurement import Measurement

# Bytes of log densities that are summed at once: they stay in a CPU's cache.
_BLOCK_BYTES = 1 << 23
_LOG_2PI = math.log(2 * math.pi)
_ERRORS = 6  # standard errors that a mean of rates may be off by chance
_CLOSE = 1e-3  # share by which rates of the same formula may differ for most images


def measure(exported: Exported, codes: int, seed: int) -> tuple[Measurement, Facts, float]:
    """Measures what was exported.

    Args:
        exported: Posteriors of N images, or a matrix of log densities.
        codes: How many codes I(n;z) and the marginal KL are averaged over; each is compared with
            all N posteriors. A matrix has its own codes, of which all are used.
        seed: Of the noise, where none was exported, and of the choice of codes.

    Returns:
        What was measured, in nats per image; what else is known of it; and by how much the rates
        that the program itself gives are off: the largest difference where rates are closed forms,
        that of the means where they are of one code and it is more than chance; else 0.
    """
    with jax.enable_x64(True):
        if exported.log_q is not None:
            measured, rates = _of_matrix(exported)
        else:
            measured, rates = _of_gaussians(exported, codes, seed)
        measured = jax.tree.map(lambda number: np.asarray(number)[()], measured)
        if (scale := exported.facts["likelihood_scale"]) is not None:
            measured = measured._replace(likelihood_scale=scale)
        difference = 0.0
        if exported.rate is not None:
            difference = _off(np.asarray(rates), exported.rate)
    used = range(min(codes, exported.images)) if exported.chosen is None else exported.chosen
    facts = Facts(
        images=exported.images,
        distinct=exported.distinct or exported.images,
        codes=len(used if exported.own is None else set(exported.own.tolist())),
        latents=1 if exported.mean is None else exported.mean.shape[1],
        entropy=None,
        least_distortion=exported.least_distortion,
        exact=True,
        importance=False,
        dimensions=exported.facts["dimensions"],
    )
    return measured, facts, difference


def _off(rates: np.ndarray, theirs: np.ndarray) -> float:
    """How far rates are off, as `measure` returns it."""
    differences = np.abs(rates - theirs)
    if np.median(differences) <= _CLOSE * (1 + abs(np.median(theirs))):
        return float(differences.max())  # the same formula, but for some images
    mean, error = np.mean(rates - theirs), np.std(rates - theirs, ddof=1) / math.sqrt(len(rates))
    return float(abs(mean)) if abs(mean) > _ERRORS * error else 0.0


def _of_gaussians(exported: Exported, codes: int, seed: int) -> tuple[Measurement, Array]:
    assert exported.mean is not None and exported.scale is not None
    noise_key, row_key = jax.random.split(jax.random.key(seed, impl="threefry2x32"))
    mean, scale = jnp.asarray(exported.mean), jnp.asarray(exported.scale)
    noise = exported.noise
    noise = jax.random.normal(noise_key, mean.shape) if noise is None else jnp.asarray(noise)
    if exported.chosen is None:
        chosen = jax.random.permutation(row_key, len(mean))[:codes]
    else:
        chosen = jnp.asarray(exported.chosen)
    distortion = exported.distortion
    known = jnp.full(len(mean), jnp.nan) if distortion is None else jnp.asarray(distortion)
    compute = jax.jit(_full_covariance if scale.ndim == 3 else _diagonal)
    prior = jax.tree.map(jnp.asarray, exported.prior)
    (rate, negative_elbo, information), rates = compute(mean, scale, noise, chosen, known, prior)
    return Measurement(rate, estimate(known), negative_elbo, not_estimated(), information), rates


Found = tuple[tuple[Estimate, Estimate, Information], Array]


def _diagonal(
    mean: Array,
    scale: Array,
    noise: Array,
    chosen: Array,
    distortion: Array,
    prior: Prior,
) -> Found:
    posteriors, gaussian_kl = Posteriors(mean, scale), None
    log_prior = _log_prior(prior, mean + scale * noise)
    if prior.is_gaussian:
        standard = Posteriors((mean - prior.mean) / prior.scale, scale / prior.scale)
        rates = jnp.sum(
            0.5 * (standard.mean**2 + standard.scale**2 - 1) - jnp.log(standard.scale), axis=1
        )
        gaussian_kl = estimators.marginal_kl_gaussian(standard)
    else:
        rates = _log_normal(noise, jnp.sum(jnp.log(scale), axis=1)) - log_prior
    terms = Terms(rates, distortion, chosen, log_prior[chosen])
    return gaussian_information(posteriors, noise, terms, gaussian_kl), rates


def _full_covariance(
    mean: Array,
    factor: Array,
    noise: Array,
    chosen: Array,
    distortion: Array,
    prior: Prior,
) -> Found:
    code = mean + jnp.einsum("nij,nj->ni", factor, noise)
    log_determinant = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)), axis=1)
    log_own, gaussian_kl = _log_normal(noise, log_determinant), None
    log_prior = _log_prior(prior, code)
    rates = log_own - log_prior
    if prior.is_gaussian:
        standard_mean = (mean - prior.mean) / prior.scale
        standard = factor / prior.scale[:, :, None]
        squares = standard_mean**2 + jnp.sum(standard**2, axis=2) - 1
        logs = log_determinant - jnp.sum(jnp.log(prior.scale))
        rates = 0.5 * jnp.sum(squares, axis=1) - logs
        within = jnp.mean(standard @ jnp.swapaxes(standard, 1, 2), axis=0)
        gaussian_kl = estimators.kl_of_moments(standard_mean, within)

    def one_code(n: Array) -> MixtureTerms:
        away = (code[n][None] - mean)[..., None]
        away = jax.scipy.linalg.solve_triangular(factor, away, lower=True)
        densities = _log_normal(away[..., 0], log_determinant)
        # The difference of a code and the mean of a sharp posterior has no correct digits.
        densities = densities.at[n].set(log_own[n])
        return jax.tree.map(lambda term: term[0], dense_terms(densities[None], n[None]))

    mixture = lax.map(one_code, chosen)
    terms = Terms(rates, distortion, chosen, log_prior[chosen])
    rate, negative_elbo, information = mixture_information(
        mixture, terms, len(mean), gaussian_kl, len(chosen)
    )
    active = jnp.sum(jnp.var(mean, axis=0) > ACTIVE_VARIANCE)
    return (rate, negative_elbo, information._replace(active_units=active)), rates


def _of_matrix(exported: Exported) -> tuple[Measurement, Array]:
    assert exported.log_q is not None and exported.own is not None
    assert exported.prior.log_density is not None
    (codes, images), own = exported.log_q.shape, jnp.asarray(exported.own)
    size, compute = max(1, _BLOCK_BYTES // (8 * images)), jax.jit(dense_terms)
    blocks = []
    for first in range(0, codes, size):
        rows = np.array(exported.block(first, first + size), np.float64)  # no view of a file
        _check_rows(exported, rows, first)
        # Waiting here keeps one block in memory: JAX would hold those that it has not summed yet.
        blocks.append(jax.block_until_ready(compute(jnp.asarray(rows), own[first : first + size])))
    mixture: Any = jax.tree.map(lambda *parts: jnp.concatenate(parts), *blocks)
    log_prior = jnp.asarray(exported.prior.log_density)
    rates = mixture.log_own - log_prior
    # Codes of one image are not independent of each other: their mean is one term.
    used, place, counts = np.unique(exported.own, return_inverse=True, return_counts=True)

    def by_image(terms: Array) -> Array:
        sums = jax.ops.segment_sum(terms, jnp.asarray(place), len(used))
        return sums / jnp.asarray(counts, jnp.float64)

    mixture, log_prior = jax.tree.map(by_image, (mixture, log_prior))
    distortion = exported.distortion
    known = jnp.full(images, jnp.nan) if distortion is None else jnp.asarray(distortion)
    chosen = jnp.arange(len(used))
    terms = Terms(mixture.log_own - log_prior, known[jnp.asarray(used)], chosen, log_prior)
    rate, _, information = mixture_information(mixture, terms, images, None, len(used))
    d = estimate(known)
    # The errors may be correlated: their sum is the most that the error of the sum can be.
    both = Estimate(rate.value + d.value, rate.standard_error + d.standard_error)
    return Measurement(rate, d, both, not_estimated(), information), rates


def _check_rows(exported: Exported, rows: np.ndarray, first: int) -> None:
    """Refuses log densities that are none; `first` is the number of the first row."""
    assert exported.own is not None
    own = exported.own[first : first + len(rows)]
    wrong = ~np.isfinite(rows[np.arange(len(rows)), own])
    if wrong.any():
        code = int(wrong.argmax())
        raise SettingsError(
            f"{exported.where}: log_q of code {first + code} under its own image {own[code]} must"
            f" be finite: got {rows[code, own[code]]:g}."
        )
    if not np.max(rows) < math.inf:
        code, image = np.argwhere(~(rows < math.inf))[0]
        raise SettingsError(
            f"{exported.where}: log_q of code {first + code} under image {image} (from 0) must"
            f" be a number or -inf: got {rows[code, image]:g}."
        )


def _log_normal(noise: Array, log_determinant: Array) -> Array:
    """Log density of mean + L noise under N(mean, L L^T), given log det L."""
    squares = jnp.sum(noise**2 + _LOG_2PI, axis=1)
    return -0.5 * squares - log_determinant


def _log_prior(prior: Prior, code: Array) -> Array:
    """log p(z) of every code."""
    if prior.log_density is not None:
        return prior.log_density
    if prior.weights is None:
        away = (code - prior.mean) / prior.scale
        return _log_normal(away, jnp.sum(jnp.log(prior.scale), axis=1))

    def one_code(z: Array) -> Array:
        away = (z[None] - prior.mean) / prior.scale
        each = _log_normal(away, jnp.sum(jnp.log(prior.scale), axis=1))
        return jax.nn.logsumexp(each + jnp.log(prior.weights))

    return lax.map(one_code, code, batch_size=256)
