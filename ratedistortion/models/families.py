"""The four families by name, from which a model is put together; reading it loads no JAX."""

from collections.abc import Callable
from typing import Any

from ratedistortion.models.decoders import DECODERS
from ratedistortion.models.encoders import ENCODERS
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.models.priors import PRIORS

# Each family: the name of a member -> the function that builds it.
FAMILIES: dict[str, dict[str, Callable[..., Any]]] = {
    "encoder": ENCODERS,
    "decoder": DECODERS,
    "prior": PRIORS,
    "likelihood": LIKELIHOODS,
}
