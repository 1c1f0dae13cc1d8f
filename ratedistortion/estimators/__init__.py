"""R, I(n;z), marginal KL and their bounds from arrays, in float64 nats; no model.

Every function must be called inside `with jax.enable_x64(True):` and refuses anything else: log
densities of sharp posteriors are differences of large numbers, and float32 loses hundreds of nats
in them.
"""

from ratedistortion.estimators.bounds import (
    bhattacharyya_lower_bound,
    kl_of_moments,
    marginal_kl_gaussian,
    pairwise_kl_upper_bound,
    subset_bounds,
)
from ratedistortion.estimators.dense import dense_terms
from ratedistortion.estimators.estimate import Estimate, estimate
from ratedistortion.estimators.importance import importance_weighted_nll
from ratedistortion.estimators.mixture import MixtureTerms, mixture_terms
from ratedistortion.estimators.posteriors import Posteriors

__all__ = [
    "Estimate",
    "MixtureTerms",
    "Posteriors",
    "bhattacharyya_lower_bound",
    "dense_terms",
    "estimate",
    "importance_weighted_nll",
    "kl_of_moments",
    "marginal_kl_gaussian",
    "mixture_terms",
    "pairwise_kl_upper_bound",
    "subset_bounds",
]
