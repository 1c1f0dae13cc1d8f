"""Whether codes are draws of their posteriors, and the noise that they were drawn with."""

import math

import jax.numpy as jnp
import numpy as np

from ratedistortion.exported.given import Given

# Probability that codes which are draws of their posteriors are said not to be.
_CHANCE = 1e-9
# Standard deviations of a code's rounding error, in scales of its posterior, from which on its
# noise is too inexact: nats of its log density.
_MAX_ROUNDING = 0.02


def noise_of(
    given: Given, mean: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray | None, list[str]]:
    """The noise of every code, and what is wrong with the codes.

    Args:
        given: May have `code`, `noise`, both or neither.
        mean: Of the posteriors, (images, latents).
        scale: Their standard deviations, or Cholesky factors (images, latents, latents).

    Returns:
        The noise, (images, latents); None where it is to be drawn. And sentences for what cannot
        be, if the codes are draws of these posteriors.

    Raises:
        SettingsError: If an array has another shape, or is not finite.
    """
    noise, code = given.numbers("noise", mean.shape), given.numbers("code", mean.shape)
    if code is None:
        return noise, [] if noise is None else _not_normal(noise, np.ones_like(noise, bool))
    if scale.ndim == 3:
        of_code = np.linalg.solve(scale, (code - mean)[..., None])[..., 0]
        widths = np.broadcast_to(np.abs(np.diagonal(scale, axis1=1, axis2=2)), mean.shape)
    else:
        of_code, widths = (code - mean) / scale, scale
    kind = np.asarray(given.raw("code")).dtype
    digits = jnp.finfo(kind if jnp.issubdtype(kind, np.floating) else np.float64).eps
    rounding = digits * np.maximum(np.abs(code), np.abs(mean)) / widths
    exact = rounding < _MAX_ROUNDING
    if noise is not None:
        wrong = exact & (np.abs(of_code - noise) > 1e-3 * (1 + np.abs(noise)) + 10 * rounding)
        images = np.flatnonzero(wrong.any(axis=1))
        if len(images):
            text = "code is not mean + scale * noise"
            return noise, [f"{text} for {len(images):,} images, image {images[0]} the first"]
        return noise, _not_normal(noise, np.ones_like(noise, bool))
    notes = _not_normal(of_code, exact)
    if notes and scale.ndim == 2:
        for other, said in (
            (np.sqrt(scale), "variances were given as standard deviations"),
            (scale**2, "standard deviations were given as variances"),
        ):
            if not _not_normal((code - mean) / other, exact):
                notes = [f"it seems that {said}"]
    if not exact.all():
        share = 100 * (1 - exact.mean())
        notes.append(f"{share:.0f}% of the codes are rounded too much: export noise as well")
    return of_code, notes


def _not_normal(noise: np.ndarray, used: np.ndarray) -> list[str]:
    """What shows that numbers are no draws of N(0, 1); the probability of an error is 1e-9."""
    from scipy.special import ndtri

    values = noise[used]
    if not values.size:
        return []
    most = float(-ndtri(_CHANCE / 2 / values.size))
    far = np.abs(np.where(used, noise, 0)) > most
    if far.any():
        image = int(far.any(axis=1).argmax())
        off = np.abs(np.where(used, noise, 0)[image]).max()
        return [
            f"codes are no draws of their posteriors: that of image {image} is {off:.3g} scales"
            f" from its mean, and draws are at most {most:.3g}"
        ]
    square, error = float(np.mean(values**2)), math.sqrt(2 / values.size)
    if abs(square - 1) > -float(ndtri(_CHANCE)) * error + 10 / values.size:
        return [
            "codes are no draws of their posteriors: the mean of (code - mean)^2 / scale^2 is"
            f" {square:.3g}, not 1"
        ]
    return []
