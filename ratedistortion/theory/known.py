"""From the settings of a sweep to what is known of its source."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ratedistortion.theory import patterns
from ratedistortion.theory.gaussian import gaussian_distortion, gaussian_entropy, gaussian_rate
from ratedistortion.theory.hamming import bernoulli_entropy


def known_curve(
    settings: dict[str, Any],
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]] | None:
    """The exact frontier of a synthetic source, in the units of the table.

    Under the Gaussian likelihood it is reverse water-filling. Under log loss, D = E[-log p(x|z)],
    R + D cannot be less than the source's entropy H: the frontier is R = max(0, H - D). For
    `patterns` it is drawn from R = 0 to where all that is left is the flips, D = DIMENSIONS
    h(FLIP) and R = log K if the patterns lie far apart. A decoder of independent pixels reaches
    that corner, and the frontier to its left only by sharing images between two models.

    Args:
        settings: The fields of `Settings`, as the table's metadata hold them. Known are
            `gaussian:VARIANCES` under the Gaussian likelihood, and `bernoulli:P,DIMENSIONS` and
            `patterns:K,DIMENSIONS,FLIP` under the Bernoulli likelihood.

    Returns:
        Distortion and rate along the curve, in nats per image; None where it is not known.
    """
    kind, text = _source(settings)
    try:
        if kind == "gaussian":
            variances, scale = _numbers(text), float(settings["likelihood_scale"])
            # Down to a millionth of the largest variance: 7 nats in each dimension.
            mse = np.geomspace(1e-6 * variances.max(), variances.sum(), 400)
            return gaussian_distortion(mse, len(variances), scale), gaussian_rate(mse, variances)
        if kind is None or (entropy := known_entropy(settings)) is None:
            return None
        least = patterns.parse(text).noise if kind == "patterns" else 0.0
        distortion = np.array([least, entropy[0]])
        return distortion, entropy[0] - distortion
    except (KeyError, TypeError, ValueError):
        return None


def known_entropy(settings: dict[str, Any]) -> tuple[float, float] | None:
    """Entropy H of a synthetic source, for the bounds H - D <= I(X; Z) and H <= R + D.

    For `gaussian` it is the differential entropy, which may be negative. H - D is a lower bound
    of I(X; Z) there too, because D is a log density of the same x. I is never below 0, so where
    H - D is, 0 is the better bound.

    Args:
        settings: As for `known_curve`.

    Returns:
        H in nats per image and its standard error (0 where it is a closed form); None where it is
        not known, as of any real data set. It is the entropy of the source, of which a split is a
        sample: a model that has memorised its training images can have R + D below H on them.
    """
    kind, text = _source(settings)
    try:
        if kind == "gaussian":
            return gaussian_entropy(_numbers(text)), 0.0
        if kind == "bernoulli":
            probability, dimensions = _numbers(text)
            return bernoulli_entropy(float(probability)) * float(dimensions), 0.0
        return patterns.entropy(patterns.parse(text)) if kind == "patterns" else None
    except (KeyError, TypeError, ValueError):
        return None


def known_spread(settings: dict[str, Any]) -> float:
    """Standard deviation of -log p(x) of one image of a source whose entropy is known.

    Args:
        settings: As for `known_entropy`, which knows the source.

    Returns:
        Nats per image; for `patterns` that of the flips, to which the patterns add little.
    """
    kind, text = _source(settings)
    if kind == "gaussian":
        return math.sqrt(len(_numbers(text)) / 2)
    if kind == "bernoulli":
        probability, dimensions = _numbers(text)
    else:
        source = patterns.parse(text)
        probability, dimensions = source.flip, source.dimensions
    odds = math.log((1 - probability) / probability)
    return abs(odds) * math.sqrt(dimensions * probability * (1 - probability))


def semantic_rate(settings: dict[str, Any]) -> float | None:
    """Nats per image that say which pattern it is, and nothing of the flips: log K.

    A good sweep of `patterns` shows a corner there. None for a source that has no such rate.
    """
    kind, text = _source(settings)
    try:
        return math.log(patterns.parse(text).count) if kind == "patterns" else None
    except ValueError:
        return None


_LIKELIHOODS = {"gaussian": "gaussian", "bernoulli": "bernoulli", "patterns": "bernoulli"}


def _source(settings: dict[str, Any]) -> tuple[str | None, str]:
    """The source's family, None unless its likelihood is the one it is known for, and the rest."""
    family, _, text = str(settings.get("dataset", "")).partition(":")
    known = settings.get("likelihood") == _LIKELIHOODS.get(family, "")
    # Binarised, a Gaussian source is another one; zeros and ones stay what they are.
    known = known and (family != "gaussian" or settings.get("binarize", "none") == "none")
    return family if known else None, text


def _numbers(text: str) -> np.ndarray:
    return np.array([float(item) for item in text.split(",")])
