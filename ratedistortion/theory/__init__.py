"""Sources whose answer is known: rate-distortion functions, optima and entropies, in nats.

The algorithm of Blahut and Arimoto is in `ratedistortion.theory.blahut_arimoto`, which imports
JAX; no other file here does.
"""

from ratedistortion.theory.gaussian import (
    Optimum,
    gaussian_entropy,
    gaussian_rate,
    linear_gaussian_optimum,
)
from ratedistortion.theory.hamming import bernoulli_entropy, bernoulli_rate, symbol_rate
from ratedistortion.theory.known import known_curve, known_entropy, known_spread, semantic_rate
from ratedistortion.theory.laplace import laplace_rate

__all__ = [
    "Optimum",
    "bernoulli_entropy",
    "bernoulli_rate",
    "gaussian_entropy",
    "gaussian_rate",
    "known_curve",
    "known_entropy",
    "known_spread",
    "laplace_rate",
    "linear_gaussian_optimum",
    "semantic_rate",
    "symbol_rate",
]
