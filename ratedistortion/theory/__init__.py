"""Sources whose answer is known: rate-distortion functions, optima and entropies, in nats."""

from ratedistortion.theory.bernoulli import bernoulli_entropy
from ratedistortion.theory.gaussian import gaussian_entropy, gaussian_rate, linear_gaussian_optimum
from ratedistortion.theory.known import known_curve, known_entropy, known_spread, semantic_rate

__all__ = [
    "bernoulli_entropy",
    "gaussian_entropy",
    "gaussian_rate",
    "known_curve",
    "known_entropy",
    "known_spread",
    "linear_gaussian_optimum",
    "semantic_rate",
]
