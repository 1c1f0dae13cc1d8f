"""Which parameters a run keeps: those with the lowest loss on images held out of training."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from ratedistortion.training.keys import key_for
from ratedistortion.training.objective import Loss, RateTerm
from ratedistortion.training.state import Best, SweptParameters, TrainState

# Held-out images at most, and comparisons in a run: together below a tenth of its time.
_MAX_HELD_OUT, _COMPARISONS = 5000, 50


# (step, state, arguments, images) -> the best parameters after that step.
Selection = Callable[[Array, TrainState, SweptParameters, Array], Best]


def count_held_out(examples: int) -> int:
    """How many of the training images, the last ones, are held out.

    Args:
        examples: All images of the training split.

    Returns:
        A tenth of them, from 1 to 5,000.
    """
    return min(max(examples // 10, 1), _MAX_HELD_OUT)


def make_selection(
    loss: Loss, rate_term: RateTerm, examples: int, held_out: int, batch_size: int, steps: int
) -> Selection:
    """Compares parameters by their loss on held-out images, about 50 times in a run.

    Every comparison of a run draws the same noise, so that the parameters alone make the
    difference. A run that diverged changes nothing any more.

    Args:
        loss: D plus a term of R.
        rate_term: What R adds to that loss.
        examples: All images that training is given.
        held_out: How many of them, the last ones, are held out.
        batch_size: The largest number of images to be read at once.
        steps: The steps of a whole run; its last step ends with a comparison.

    Returns:
        What keeps the best parameters so far; a run begins with an infinite loss.
    """
    size = min(batch_size, held_out)
    every = max(steps // _COMPARISONS, 1)

    def update(step: Array, state: TrainState, arguments: SweptParameters, images: Array) -> Best:
        def one_block(block: Array) -> Array:
            key = jax.random.fold_in(key_for(arguments.seed, "held out"), block)
            rows = examples - held_out + block * size + jnp.arange(size)
            term = lambda rate: rate_term.held_out(arguments, rate)  # noqa: E731
            return loss(state.model, images[rows], key, term)[0]

        def compare(best: Best) -> Best:
            mean = jnp.mean(lax.map(one_block, jnp.arange(held_out // size)))
            better = (mean < best.loss) & (state.diverged_at < 0)
            found = Best(state.model, mean, step + 1, state.log_beta)
            return jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best)

        assert state.best is not None
        # The step is the same for all runs, so that this stays a branch under vmap.
        due = ((step + 1) % every == 0) | (step + 1 == steps)
        return lax.cond(due, compare, lambda best: best, state.best)

    return update
