"""One training run as a pure function; nothing here knows that there are many."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import Functions, Model
from ratedistortion.settings import MOST, Settings
from ratedistortion.training.minibatch import minibatch

HISTORY_POINTS = 200
# What can stop a run, in the order in which it is looked for.
TERMS = ("D", "R", "the gradient")
# An error of one nat or more moves log beta by half of this in a whole run, as the learning rate
# sets the pace: from 1 to any beta that is of use in a tenth of the steps.
_DUAL_SHARE, _MOST_LOG_BETA = 60.0, math.log(1e3)
# How often held-out images are looked at, and how many at most: less than a tenth of the time.
_LOOKS, _MOST_HELD_OUT = 50, 5000
# With a target rate, what is this near to it on them is compared by its distortion.
_NEAR = 0.05


class DataShape(NamedTuple):
    """What a run must know of its data before it is compiled: counts, scale, and how to read it."""

    examples: int
    dimensions: int
    scale: float
    dynamic: bool


class SweptParameters(NamedTuple):
    """What is swept: one number each per run, so that no value of them compiles anew."""

    beta: Float[Array, ""]
    learning_rate: Float[Array, ""]
    seed: Int[Array, ""]
    target_rate: Float[Array, ""]


class Best(NamedTuple):
    """The parameters with the lowest loss on images held out: that loss, steps and weight then."""

    model: Model
    loss: Float[Array, ""]
    step: Int[Array, ""]
    log_beta: Float[Array, ""]


class TrainState(NamedTuple):
    """What the next step needs, and the loss curve so far.

    Attributes:
        model: The parameters.
        optimizer: The state of Optax.
        diverged_at: The step at which a loss or gradient was not finite, -1 while all are.
        diverged_by: Which of `TERMS` that was.
        history: Row [k, :] sums D and R in nats per image over the k-th share of the steps.
        log_beta: Where a target rate is asked for: log of the weight that R now has.
        best: What `--select best` keeps; None without it.
    """

    model: Model
    optimizer: Any
    diverged_at: Int[Array, ""]
    diverged_by: Int[Array, ""]
    history: Float[Array, "points 2"]
    log_beta: Float[Array, ""]
    best: Best | None


class Run(NamedTuple):
    """A training run: `start(arguments)`, then `advance` from step to step.

    Attributes:
        start: SweptParameters -> TrainState at step 0.
        advance: (state, arguments, images, first, last) -> TrainState after steps first..last-1.
            Images are (examples, dimensions) as stored. Steps are traced: no count of them
            compiles anew, and where a block of steps ends changes nothing.
        steps: How many steps a whole run has.
        state: The shapes of what `start` returns.
    """

    start: Callable[[SweptParameters], TrainState]
    advance: Callable[[TrainState, SweptParameters, Array, Array, Array], TrainState]
    steps: int
    state: TrainState


def make_run(settings: Settings, functions: Functions, source: DataShape) -> Run:
    """Does all that is static about a run, and returns its two pure functions.

    The loss is D + beta R. With target rates it is D at R = target: beta is the multiplier of that
    constraint, found by dual ascent beside the parameters, as the penalty |R - target| would make
    gradients jump whenever R passes the target. Adam; the learning rate falls to zero along a
    cosine; beta rises linearly from zero over `settings.warmup` steps. Minibatches and
    noise depend on (seed, step) alone: every beta of a seed sees the same. A run whose loss or
    gradient stops being finite, or has no finite square, takes no step from then on: it keeps the
    finite parameters that it had. With `settings.select` `best` the last images are held out of
    training, and a run ends as it was when their loss was lowest.

    Args:
        settings: The sweep's settings; beta, seeds and learning rate are not read.
        functions: The model's functions.
        source: What is static about the data.

    Returns:
        The run.

    Raises:
        SettingsError: If holding out leaves less than a batch, or the steps are too many or fewer
            than beta needs to warm up.

    Source: Rezende and Viola, "Taming VAEs", 2018, section 2, for the multiplier.
    """
    held = held_out(source.examples) if settings.select == "best" else 0
    examples = source.examples - held
    if examples < settings.batch_size:
        raise SettingsError(
            f"select best holds out {held} of {source.examples} images: too few are left for a"
            f" batch of {settings.batch_size}; lower batch_size."
        )
    steps = settings.steps or (settings.epochs or 0) * (examples // settings.batch_size)
    if steps > MOST:
        raise SettingsError(f"epochs: a run has at most {MOST:,} steps: got {steps:,}.")
    if settings.warmup >= steps:
        raise SettingsError(
            f"warmup must be less than the {steps:,} steps of a run, as beta would not be what the"
            f" table says: got {settings.warmup:,}."
        )
    every = max(steps // _LOOKS, 1)

    def adam(arguments: SweptParameters) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(arguments.learning_rate, steps))

    def start(arguments: SweptParameters) -> TrainState:
        model = functions.build(_key(arguments.seed, "model"))
        start_beta = jnp.log(arguments.beta)
        return TrainState(
            model=model,
            optimizer=adam(arguments).init(model),
            diverged_at=jnp.int32(-1),
            diverged_by=jnp.int32(-1),
            history=jnp.zeros((HISTORY_POINTS, 2), jnp.float32),
            log_beta=start_beta,
            best=Best(model, jnp.float32(jnp.inf), jnp.int32(0), start_beta) if held else None,
        )

    def read(stored: Array, key: PRNGKeyArray) -> Array:
        x = stored.astype(jnp.float32) * source.scale
        if source.dynamic:
            x = (jax.random.uniform(key, x.shape, jnp.float32) < x).astype(jnp.float32)
        return x

    def loss(
        model: Model, x: Array, noise: Array, weigh: Callable[[Array], Array]
    ) -> tuple[Array, Array]:
        posterior = functions.encode(model, x)
        z = functions.draw(model, posterior, noise)
        rate = counted = jnp.mean(functions.rate(model, posterior, noise, z))
        each = functions.latent_rates(model, posterior) if settings.free_bits else None
        if each is not None:
            counted = jnp.sum(jnp.maximum(jnp.mean(each, axis=0), settings.free_bits))
        distortion = -jnp.mean(functions.log_likelihood(model, x, z))
        return distortion + weigh(counted), jnp.stack([distortion, rate])

    def step(
        index: Array, state: TrainState, arguments: SweptParameters, images: Array
    ) -> TrainState:
        rows = minibatch(_key(arguments.seed, "order"), index, examples, settings.batch_size)
        noise_key, pixel_key = jax.random.split(
            jax.random.fold_in(_key(arguments.seed, "noise"), index)
        )
        x = read(images[rows], pixel_key)
        noise = jax.random.normal(noise_key, (settings.batch_size, settings.latents), jnp.float32)
        done = index.astype(jnp.float32)
        warm = jnp.minimum(1.0, (done + 1) / max(settings.warmup, 1))

        def weigh(rate: Array) -> Array:
            if not settings.target_rates:
                return warm * arguments.beta * rate
            # A push in proportion to the error steadies the slow multiplier.
            push = jnp.clip(lax.stop_gradient(rate) - arguments.target_rate, -1.0, 1.0)
            return warm * jnp.exp(state.log_beta + push) * rate

        (value, terms), gradient = jax.value_and_grad(loss, has_aux=True)(
            state.model, x, noise, weigh
        )
        # Adam keeps squares, so they must be finite too. Their sum is taken as a product of
        # vectors: on a CPU a reduction of a matrix costs several times as much.
        finite = jnp.isfinite(value + optax.tree.vdot(gradient, gradient))
        good = finite & (state.diverged_at < 0)
        # Optax multiplies whole and real numbers, which the tests forbid to all other code.
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer = adam(arguments).update(gradient, state.optimizer)
            decay = optax.cosine_decay_schedule(1.0, steps)(index)
        updates = jax.tree.map(lambda update: jnp.where(good, update, 0.0), updates)
        model: Any = optax.apply_updates(state.model, updates)
        first_bad = ~good & (state.diverged_at < 0)
        has_square = jnp.isfinite(terms**2)
        cause = jnp.where(has_square[0], jnp.where(has_square[1], 2, 1), 0).astype(jnp.int32)
        error = jnp.clip(terms[1] - arguments.target_rate, -1.0, 1.0)
        pace = _DUAL_SHARE / steps * decay
        log_beta = jnp.minimum(state.log_beta + pace * error, _MOST_LOG_BETA)
        return TrainState(
            model=model,
            optimizer=optimizer,
            diverged_at=jnp.where(first_bad, index, state.diverged_at),
            diverged_by=jnp.where(first_bad, cause, state.diverged_by),
            history=state.history.at[index * HISTORY_POINTS // steps].add(
                jnp.where(good, terms, 0.0)
            ),
            log_beta=jnp.where(good, log_beta, state.log_beta),
            best=state.best,
        )

    def look(
        index: Array, state: TrainState, arguments: SweptParameters, images: Array
    ) -> TrainState:
        """Holds the parameters against the best so far, with the same noise at every look."""
        assert state.best is not None
        size = min(settings.batch_size, held)

        def one_block(block: Array) -> Array:
            noise_key, pixel_key = jax.random.split(
                jax.random.fold_in(_key(arguments.seed, "held out"), block)
            )
            x = read(images[examples + block * size + jnp.arange(size)], pixel_key)
            noise = jax.random.normal(noise_key, (size, settings.latents), jnp.float32)
            return loss(state.model, x, noise, weigh)[0]

        def weigh(rate: Array) -> Array:
            if settings.target_rates:
                # Weighed like the largest multiplier, so that nothing is gained by missing it.
                error = jnp.abs(rate - arguments.target_rate) - _NEAR * arguments.target_rate
                return jnp.exp(_MOST_LOG_BETA) * jnp.maximum(error, 0.0)
            return arguments.beta * rate

        value = jnp.mean(lax.map(one_block, jnp.arange(held // size)))
        better = (value < state.best.loss) & (state.diverged_at < 0)
        found = Best(state.model, value, index + 1, state.log_beta)
        return state._replace(
            best=jax.tree.map(lambda new, old: jnp.where(better, new, old), found, state.best)
        )

    def one(
        index: Array, state: TrainState, arguments: SweptParameters, images: Array
    ) -> TrainState:
        state = step(index, state, arguments, images)
        if not held:
            return state
        # The step is the same for all runs, so that this stays a branch under vmap.
        return lax.cond(
            ((index + 1) % every == 0) | (index + 1 == steps),
            lambda state: look(index, state, arguments, images),
            lambda state: state,
            state,
        )

    def advance(
        state: TrainState, arguments: SweptParameters, images: Array, first: Array, last: Array
    ) -> TrainState:
        return lax.fori_loop(first, last, lambda n, s: one(n, s, arguments, images), state)

    kinds = jnp.float32, jnp.float32, jnp.int32, jnp.float32
    shapes: Any = [jax.ShapeDtypeStruct((), kind) for kind in kinds]  # zeros would be compiled
    state = jax.eval_shape(start, SweptParameters(*shapes))
    return Run(start, advance, steps, state)


def held_out(examples: int) -> int:
    """How many of the training images, the last ones, `--select best` holds out: a tenth."""
    return min(max(examples // 10, 1), _MOST_HELD_OUT)


def selected(state: TrainState) -> Model:
    """The parameters that a run ends with."""
    return state.model if state.best is None else state.best.model


def _key(seed: Array, purpose: str) -> PRNGKeyArray:
    """Threefry, never rbg: under vmap rbg keys would give all runs the same numbers."""
    purposes = ("model", "order", "noise", "held out")
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), purposes.index(purpose))
