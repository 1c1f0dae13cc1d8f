r"""Discrete sources under Hamming distortion, the probability of a wrong symbol."""

import math

import numpy as np
from jaxtyping import Float


def bernoulli_entropy(probability: float) -> float:
    r"""Entropy of one Bernoulli variable.

    $$h(p) = -p \ln p - (1 - p) \ln(1 - p).$$

    Under log loss, D = E[-log p(x|z)], the frontier of the source is R = max(0, H - D).

    Args:
        probability: p, in [0, 1].

    Returns:
        Nats per symbol, exact, in [0, ln 2].

    Raises:
        ValueError: If the probability lies outside [0, 1].

    Source: Courtade and Weissman, "Multiterminal source coding under logarithmic loss", 2014.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"a probability must lie in [0, 1]: got {probability:g}.")
    return -sum(p * math.log(p) for p in (probability, 1 - probability) if p > 0)


def bernoulli_rate(
    distortion: Float[np.ndarray, " points"], probability: float
) -> Float[np.ndarray, " points"]:
    r"""R(D) of a Bernoulli(p) source under Hamming distortion.

    $$R = h(p) - h(D) \text{ for } D < \min(p, 1 - p), \text{ else } 0.$$

    Args:
        distortion: D, the probability of a wrong symbol, in [0, 1].
        probability: p, in [0, 1].

    Returns:
        The least rate, in nats per symbol, exact.

    Raises:
        ValueError: If a number lies outside [0, 1].

    Source: Cover and Thomas, "Elements of information theory", theorem 10.3.1.
    """
    entropy = bernoulli_entropy(probability)
    _check(distortion)
    inside = np.minimum(distortion, min(probability, 1 - probability))
    return np.maximum(entropy - _binary_entropy(inside), 0.0)


def symbol_rate(
    distortion: Float[np.ndarray, " points"], symbols: int
) -> Float[np.ndarray, " points"]:
    r"""R(D) of m equally likely symbols under Hamming distortion.

    $$R = \ln m - h(D) - D \ln(m - 1) \text{ for } D < 1 - 1/m, \text{ else } 0.$$

    Args:
        distortion: D, the probability of a wrong symbol, in [0, 1].
        symbols: m, at least 2.

    Returns:
        The least rate, in nats per symbol, exact.

    Raises:
        ValueError: If D lies outside [0, 1], or there are fewer than two symbols.

    Source: Cover and Thomas, "Elements of information theory", problem 10.5.
    """
    if symbols < 2:
        raise ValueError(f"a source must have at least 2 symbols: got {symbols}.")
    _check(distortion)
    inside = np.minimum(distortion, 1 - 1 / symbols)
    rate = math.log(symbols) - _binary_entropy(inside) - inside * math.log(symbols - 1)
    return np.maximum(rate, 0.0)


def _binary_entropy(p: np.ndarray) -> np.ndarray:
    logs = [np.log(q, out=np.zeros_like(q), where=q > 0) for q in (p, 1 - p)]
    return -p * logs[0] - (1 - p) * logs[1]


def _check(distortion: np.ndarray) -> None:
    if not np.all((distortion >= 0) & (distortion <= 1)):
        raise ValueError("a Hamming distortion is a share of wrong symbols: it lies in [0, 1].")
