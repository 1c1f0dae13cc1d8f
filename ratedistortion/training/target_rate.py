"""D at a given R: beta is the multiplier of that constraint, found by dual ascent."""

import math

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array

from ratedistortion.settings import Settings
from ratedistortion.training.objective import RateTerm, warmed_up
from ratedistortion.training.state import SweptParameters

# If R misses its target by 1 nat or more at every step, log beta moves by half of this in a run
# (the mean of the cosine schedule is one half). From 1, a tenth of the steps reaches any useful
# beta. From the beta of the linear model the way is short, and larger steps overshoot short runs.
_DUAL_DISTANCE = {"random": 60.0, "linear": 10.0}
# The largest log beta, as a natural logarithm.
_MAX_LOG_BETA = math.log(1e3)
# Where held-out images compare parameters, R may miss its target by this share without penalty.
_TOLERANCE = 0.05


def rate_at_target(settings: Settings, steps: int) -> RateTerm:
    """The Lagrangian of D subject to R = target, whose multiplier is learnt beside the parameters.

    The loss is D + exp(log_beta + clip(R - target, -1, 1)) R, with no gradient through the
    exponent, and every step adds a multiple of clip(R - target, -1, 1) to log_beta. A penalty
    |R - target| instead would make the gradient jump whenever R passes the target.

    Args:
        settings: Used are `warmup`, the number of steps over which the weight of R rises linearly,
            and `start`, which says how near the first beta is.
        steps: The steps of a whole run; the steps of log_beta shrink to zero along a cosine.

    Returns:
        The term; its state is log_beta, at most log 1000.

    Source: Rezende and Viola, "Taming VAEs", 2018, section 2.
    """

    def init(arguments: SweptParameters) -> Array:
        return jnp.minimum(jnp.log(arguments.beta), _MAX_LOG_BETA)

    def loss(log_beta: Array, arguments: SweptParameters, step: Array, rate: Array) -> Array:
        # The state follows slowly and would swing: a push in proportion to the error damps it.
        push = _error(arguments, lax.stop_gradient(rate))
        return warmed_up(step, settings.warmup) * jnp.exp(log_beta + push) * rate

    def update(log_beta: Array, arguments: SweptParameters, step: Array, rate: Array) -> Array:
        # Optax mixes integers and floats. Our tests run JAX with strict types, but for this call.
        with jax.numpy_dtype_promotion("standard"):
            decay = optax.cosine_decay_schedule(1.0, steps)(step)
        pace = _DUAL_DISTANCE[settings.start] / steps * decay
        return jnp.minimum(log_beta + pace * _error(arguments, rate), _MAX_LOG_BETA)

    def held_out(arguments: SweptParameters, rate: Array) -> Array:
        # A nat by which R misses the target costs 1000 nats, so a lower D can never pay for it.
        error = jnp.abs(rate - arguments.target_rate) - _TOLERANCE * arguments.target_rate
        return jnp.exp(_MAX_LOG_BETA) * jnp.maximum(error, 0.0)

    return RateTerm(init, loss, update, held_out)


def _error(arguments: SweptParameters, rate: Array) -> Array:
    return jnp.clip(rate - arguments.target_rate, -1.0, 1.0)
