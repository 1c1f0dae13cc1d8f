r"""The entropy of pixels that are 1 by chance."""

import math


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
