"""What is known exactly of the source that the settings of a sweep name."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ratedistortion.theory import patterns
from ratedistortion.theory.bernoulli import bernoulli_entropy
from ratedistortion.theory.gaussian import gaussian_distortion, gaussian_entropy, gaussian_rate


def known_curve(
    settings: dict[str, Any],
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]] | None:
    """The exact frontier of a synthetic source.

    Under the Gaussian likelihood it is reverse water-filling. Under log loss, D = E[-log p(x|z)],
    R + D cannot be less than the source's entropy H: the frontier is R = max(0, H - D). For
    `patterns` the curve goes from R = 0 to the corner where only the flips are left:
    D = DIMENSIONS h(FLIP), and R = log K if the patterns lie far apart. A decoder of independent
    pixels reaches that corner. It reaches the frontier at smaller R only by two models, each for a
    share of the images.

    Args:
        settings: The fields of `Settings`, as the table's metadata hold them. Known are
            `gaussian:VARIANCES` under the Gaussian likelihood, and `bernoulli:P,DIMENSIONS` and
            `patterns:K,DIMENSIONS,FLIP` under the Bernoulli likelihood. A scale of the Gaussian
            likelihood that is learned is at each point the best one.

    Returns:
        Distortion and rate along the curve, in nats per image; None if the curve is not known.
    """
    kind, text = _source(settings)
    try:
        if kind == "gaussian":
            variances, scale = _numbers(text), settings["likelihood_scale"]
            # The curve goes down to a millionth of the largest variance: 7 nats in that dimension.
            mse = np.geomspace(1e-6 * variances.max(), variances.sum(), 400)
            if scale == "learned":
                scale = np.sqrt(mse / len(variances))
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
    of I(X; Z) there too, because D is a log density of the same x. Where H - D is below 0, the
    better lower bound is 0.

    Args:
        settings: As for `known_curve`.

    Returns:
        H in nats per image and its standard error, which is 0 for a closed form; None if it is not
        known, as for every real data set. It is the entropy of the source, of which a split is a
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
        settings: As for `known_curve`; `known_entropy` must know the source.

    Returns:
        Nats per image, exact; for `patterns` that of the flips alone, to which the choice of the
        pattern adds little.
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
    """The rate of a code that says only which of the K patterns an image is: log K.

    The curve of a good sweep of `patterns` has a corner at this rate.

    Args:
        settings: As for `known_curve`.

    Returns:
        Nats per image; None for every other source.
    """
    kind, text = _source(settings)
    try:
        return math.log(patterns.parse(text).count) if kind == "patterns" else None
    except ValueError:
        return None


_LIKELIHOODS = {"gaussian": "gaussian", "bernoulli": "bernoulli", "patterns": "bernoulli"}


def _source(settings: dict[str, Any]) -> tuple[str | None, str]:
    """The family of the source, None if nothing is known under its likelihood, and its numbers."""
    family, _, text = str(settings.get("dataset", "")).partition(":")
    known = settings.get("likelihood") == _LIKELIHOODS.get(family, "")
    # Binarising changes a Gaussian source; it does not change zeros and ones.
    known = known and (family != "gaussian" or settings.get("binarize", "none") == "none")
    known = known and settings.get("scale") in (None, "none", 1)
    known = known and (settings.get("layout") or "ND").upper() == "ND"
    return family if known else None, text


def _numbers(text: str) -> np.ndarray:
    return np.array([float(item) for item in text.split(",")])
