"""What a training run is given, and what it knows between two steps."""

from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from ratedistortion.models.autoencoder import Model

# Rows of a run's loss curve, each the sum over an equal share of its steps.
HISTORY_POINTS = 200
# What may stop being finite and so stop a run, in the order in which it is looked for.
TERMS = ("D", "R", "the gradient")


class DataShape(NamedTuple):
    """What a run must know of its data before it is compiled.

    Attributes:
        examples: Images in the training split.
        scale: Factor that turns a stored pixel into the model's.
        dynamic: Whether every step draws fresh Bernoulli(pixel) pixels.
        held_out: How many of them, the last ones, are those of a validation split, for
            `select best`; 0 where there is none.
    """

    examples: int
    scale: float
    dynamic: bool
    held_out: int = 0


class SweptParameters(NamedTuple):
    """What differs from run to run: traced numbers, so that no value of them compiles anew.

    Attributes:
        beta: The weight of R; where a target rate is asked for, the weight to start from.
        learning_rate: Of Adam, at the first step.
        seed: Decides the first parameters, the order of the images and the noise.
        target_rate: R in nats per image; not read where none is asked for.
    """

    beta: Float[Array, ""]
    learning_rate: Float[Array, ""]
    seed: Int[Array, ""]
    target_rate: Float[Array, ""]


class Best(NamedTuple):
    """The parameters with the lowest loss on held-out images.

    Attributes:
        model: The parameters.
        loss: That loss, in nats per image; infinite before the first comparison.
        step: The number of steps behind these parameters.
        log_beta: log of the weight that R had then; None where beta is given.
    """

    model: Model
    loss: Float[Array, ""]
    step: Int[Array, ""]
    log_beta: Float[Array, ""] | None


class TrainState(NamedTuple):
    """What the next step needs, and the loss curve so far.

    Attributes:
        model: The parameters.
        optimizer: The state of Optax.
        diverged_at: The step at which a loss or gradient was not finite, -1 while all are.
        diverged_by: Index into `TERMS` of what was not finite then.
        history: Row [k, :] sums D and R in nats per image over the k-th share of the steps.
        log_beta: State of the target rate: log of the weight of R. None where beta is given.
        best: State of the held-out selection. None where the last parameters are kept.
    """

    model: Model
    optimizer: Any
    diverged_at: Int[Array, ""]
    diverged_by: Int[Array, ""]
    history: Float[Array, "points 2"]
    log_beta: Float[Array, ""] | None
    best: Best | None


def selected(state: TrainState) -> Model:
    """The parameters that a run ends with.

    Args:
        state: Of the run, or of several, each with its own leading axis.

    Returns:
        The best by the loss on held-out images, where those are kept; else the last.
    """
    return state.model if state.best is None else state.best.model
