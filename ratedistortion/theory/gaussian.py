r"""Gaussian sources: reverse water-filling, and the optimum of a linear-Gaussian model."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Optimum(NamedTuple):
    """The best point that a linear-Gaussian model can reach at one beta."""

    rate: float
    """R, in nats per image."""
    mse: float
    """Squared error, summed over the dimensions."""
    distortion: float
    """D, in nats per image: the mean of -log p(x|z)."""


def gaussian_rate(
    mse: Float[np.ndarray, " points"], variances: Float[np.ndarray, " dimensions"]
) -> Float[np.ndarray, " points"]:
    r"""R(D) of a Gaussian source under squared error, by reverse water-filling.

    $$R = \tfrac12 \sum_i \max(0, \ln(l_i / \theta)), \qquad D = \sum_i \min(l_i, \theta).$$

    Args:
        mse: D, the squared error summed over the dimensions, above 0.
        variances: The eigenvalues l of the source's covariance, at least 0.

    Returns:
        The least rate, in nats per image, at each D: exact, and 0 where D is at least the total
        variance.

    Raises:
        ValueError: If a D is not above 0, where the rate is infinite.

    Source: Cover and Thomas, "Elements of information theory", theorem 10.3.3.
    """
    if not np.all(mse > 0):
        raise ValueError("mse must be above 0: the rate of a lossless code is infinite.")
    # D is piecewise linear in the water level, with corners at the eigenvalues.
    corners = np.concatenate([[0.0], np.sort(variances)])
    level = np.interp(mse, np.minimum(variances, corners[:, None]).sum(1), corners)
    return _rate_at(level, variances)


def linear_gaussian_optimum(
    variances: Float[np.ndarray, " dimensions"], scale: float, beta: float
) -> Optimum:
    r"""The exact optimum of a beta-VAE with linear encoder and decoder and Gaussian likelihood.

    With a decoder N(Wz + b, s^2 I) of fixed s, a standard normal prior and as many latents as
    dimensions, the optimum of D + beta R is the reverse water-filling point at
    $$\theta = \beta s^2.$$
    There the aggregate posterior is the prior, so the marginal KL is 0 and I(X; Z) = R.

    Args:
        variances: The eigenvalues of the source's covariance, above 0.
        scale: s, the standard deviation of the likelihood, above 0.
        beta: The weight of the rate, above 0.

    Returns:
        Rate, squared error and distortion, exact.

    Raises:
        ValueError: If scale or beta is not above 0.

    Source: Lucas et al., "Don't blame the ELBO!", 2019, for beta = 1; the general case follows
    from the substitution of beta s^2 for s^2.
    """
    if not (scale > 0 and beta > 0):
        raise ValueError(f"scale and beta must be above 0: got {scale:g} and {beta:g}.")
    level = beta * scale**2
    mse = float(np.minimum(variances, level).sum())
    rate = float(_rate_at(np.array([level]), variances)[0])
    return Optimum(rate, mse, float(gaussian_distortion(mse, len(variances), scale)))


def gaussian_entropy(variances: Float[np.ndarray, " dimensions"]) -> float:
    r"""Differential entropy of a Gaussian source.

    $$h = \tfrac12 \sum_i \ln(2 \pi e\, l_i).$$

    Args:
        variances: The eigenvalues l of the source's covariance, above 0.

    Returns:
        Nats per image, exact. It is not the entropy of a discrete source: it may be negative, and
        it changes with the unit of x. The difference h - D, with D = E[-log p(x|z)], a log density
        too, does not change with the unit, and is at most I(X; Z).

    Raises:
        ValueError: If a variance is not above 0, where h would be minus infinity.

    Source: Cover and Thomas, "Elements of information theory", theorem 8.4.1.
    """
    if not np.all(variances > 0):
        raise ValueError("variances must be above 0: the entropy is minus infinity without.")
    return float(0.5 * np.log(2 * math.pi * math.e * variances).sum())


def gaussian_distortion(mse, dimensions: int, scale):
    r"""The mean of -log N(x; mean, s^2 I) at a squared error.

    $$D = \tfrac{d}{2} \ln(2 \pi s^2) + \frac{\mathrm{mse}}{2 s^2}.$$

    Args:
        mse: Squared error summed over the dimensions: a number, or an array of them.
        dimensions: d, of one image.
        scale: s, the standard deviation of the likelihood, above 0: a number, or one of each `mse`.

    Returns:
        Nats per image, exact, in the shape of `mse`.
    """
    return dimensions / 2 * np.log(2 * math.pi * scale**2) + mse / (2 * scale**2)


def _rate_at(level: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """The rate at each water level."""
    return 0.5 * np.log(np.maximum(variances / level[:, None], 1)).sum(1)
