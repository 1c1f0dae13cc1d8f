"""One training run as a pure function; nothing here knows that there are many."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ratedistortion.models.autoencoder import Functions, Model
from ratedistortion.settings import Settings

HISTORY_POINTS = 200


class Source(NamedTuple):
    """What a run must know of its data before it is compiled: counts, scale, and how to read it."""

    examples: int
    dimensions: int
    scale: float
    dynamic: bool


class Arguments(NamedTuple):
    """What is swept: one number each per run, so that no value of them compiles anew."""

    beta: Float[Array, ""]
    learning_rate: Float[Array, ""]
    seed: Int[Array, ""]


class TrainState(NamedTuple):
    """What the next step needs, and the loss curve so far.

    Attributes:
        model: The parameters.
        optimizer: The state of Adam.
        diverged_at: The step at which a loss or gradient was not finite, -1 while all are.
        history: Row [k, :] sums D and R in nats per image over the k-th share of the steps.
    """

    model: Model
    optimizer: optax.OptState
    diverged_at: Int[Array, ""]
    history: Float[Array, "points 2"]


class Run(NamedTuple):
    """A training run: `start(arguments)`, then `advance` from step to step.

    Attributes:
        start: Arguments -> TrainState at step 0.
        advance: (state, arguments, images, first, last) -> TrainState after steps first..last-1.
            Images are (examples, dimensions) as stored. Steps are traced: no count of them
            compiles anew, and where a block of steps ends changes nothing.
        steps: How many steps a whole run has.
    """

    start: Callable[[Arguments], TrainState]
    advance: Callable[[TrainState, Arguments, Array, Array, Array], TrainState]
    steps: int


def make_run(settings: Settings, functions: Functions, source: Source) -> Run:
    """Does all that is static about a run, and returns its two pure functions.

    The loss is D + beta R. Adam; the learning rate falls to zero along a cosine; beta rises
    linearly from zero over `settings.warmup` steps. Minibatches and noise depend on (seed, step)
    alone: every beta of a seed sees the same. A run whose loss or gradient stops being finite
    takes no step from then on: it keeps the finite parameters that it had.

    Args:
        settings: The sweep's settings; beta, seeds and learning rate are not read.
        functions: The model's functions.
        source: What is static about the data.

    Returns:
        The run.
    """
    per_epoch = max(source.examples // settings.batch_size, 1)
    steps = settings.steps or (settings.epochs or 0) * per_epoch
    adam = optax.scale_by_adam()

    def start(arguments: Arguments) -> TrainState:
        model = functions.build(_key(arguments.seed, "model"))
        return TrainState(
            model=model,
            optimizer=adam.init(model),
            diverged_at=jnp.int32(-1),
            history=jnp.zeros((HISTORY_POINTS, 2), jnp.float32),
        )

    def loss(model: Model, x: Array, noise: Array, weight: Array) -> tuple[Array, Array]:
        posterior = functions.encode(model, x)
        z = functions.draw(model, posterior, noise)
        rate = jnp.mean(functions.rate(model, posterior, noise, z))
        distortion = -jnp.mean(functions.log_likelihood(model, x, z))
        return distortion + weight * rate, jnp.stack([distortion, rate])

    def step(index: Array, state: TrainState, arguments: Arguments, images: Array) -> TrainState:
        rows = minibatch(_key(arguments.seed, "order"), index, source.examples, settings.batch_size)
        noise_key, pixel_key = jax.random.split(
            jax.random.fold_in(_key(arguments.seed, "noise"), index)
        )
        x = images[rows].astype(jnp.float32) * source.scale
        if source.dynamic:
            x = (jax.random.uniform(pixel_key, x.shape, jnp.float32) < x).astype(jnp.float32)
        noise = jax.random.normal(noise_key, (settings.batch_size, settings.latents), jnp.float32)
        done = index.astype(jnp.float32)
        weight = arguments.beta * jnp.minimum(1.0, (done + 1) / max(settings.warmup, 1))
        rate = arguments.learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * done / steps))

        (value, terms), gradient = jax.value_and_grad(loss, has_aux=True)(
            state.model, x, noise, weight
        )
        squares = sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradient))
        good = jnp.isfinite(value + squares) & (state.diverged_at < 0)
        # Freezing through the gradient and the learning rate reads less memory than choosing
        # between the old and the new parameters.
        gradient = jax.tree.map(lambda g: jnp.where(good, g, 0.0), gradient)
        with jax.numpy_dtype_promotion("standard"):  # Optax raises a float to the power of a count.
            updates, optimizer = adam.update(gradient, state.optimizer)
        rate = jnp.where(good, rate, 0.0)
        model = jax.tree.map(lambda p, u: p - rate * u, state.model, updates)
        first_bad = ~good & (state.diverged_at < 0)
        return TrainState(
            model=model,
            optimizer=optimizer,
            diverged_at=jnp.where(first_bad, index, state.diverged_at),
            history=state.history.at[index * HISTORY_POINTS // steps].add(
                jnp.where(good, terms, 0.0)
            ),
        )

    def advance(
        state: TrainState, arguments: Arguments, images: Array, first: Array, last: Array
    ) -> TrainState:
        return lax.fori_loop(first, last, lambda n, s: step(n, s, arguments, images), state)

    return Run(start, advance, steps)


def minibatch(
    key: PRNGKeyArray, step: Int[Array, ""], examples: int, batch_size: int
) -> Int[Array, "batch"]:
    """The images of a step, without a permutation of the whole data set in memory.

    Every epoch visits examples // batch_size * batch_size images once each, in an order of its
    own. The order is a mixed-radix Feistel network on (step in epoch, place in batch), whose
    round functions are tables drawn afresh for every epoch, then a random rotation that decides
    which few images an epoch leaves out. With fewer than about ten images in a batch, neighbours
    in the data set tend to come in neighbouring steps; with one, the order is that of the data
    set, from a random start.

    Args:
        key: The same for all steps of a run.
        step: Counts from 0 over all epochs.
        examples: Images in the data set.
        batch_size: Images in a step, at most `examples`.

    Returns:
        Distinct row numbers in [0, examples).

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002.
    """
    per_epoch = examples // batch_size
    tables_key, rotation_key = jax.random.split(jax.random.fold_in(key, step // per_epoch))
    tables = jax.random.bits(tables_key, (3, per_epoch + batch_size), jnp.uint32)
    place = jnp.arange(batch_size, dtype=jnp.uint32)
    turn = jnp.full((batch_size,), step % per_epoch, jnp.uint32)
    for table in tables:
        turn = (turn + table[place] % per_epoch) % per_epoch
        place = (place + table[batch_size + turn] % batch_size) % batch_size
    rotation = jax.random.randint(rotation_key, (), 0, examples, jnp.int32)
    return ((turn * batch_size + place).astype(jnp.int32) + rotation) % examples


def _key(seed: Array, purpose: str) -> PRNGKeyArray:
    """Threefry, never rbg: under vmap rbg keys would give all runs the same numbers."""
    purposes = ("model", "order", "noise")
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), purposes.index(purpose))
