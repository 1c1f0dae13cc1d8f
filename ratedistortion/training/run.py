"""One training run as a pure function; nothing here knows that there are many."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array

from ratedistortion.datasets.principal import Principal
from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.settings import Settings
from ratedistortion.settings.fields import MAX_COUNT
from ratedistortion.training.held_out import count_held_out, make_selection
from ratedistortion.training.keys import key_for
from ratedistortion.training.minibatch import minibatch
from ratedistortion.training.objective import fit_likelihood_scale, make_loss, weighted_rate
from ratedistortion.training.state import (
    HISTORY_POINTS,
    Best,
    DataShape,
    SweptParameters,
    TrainState,
    selected,
)
from ratedistortion.training.target_rate import rate_at_target


class Run:
    """A training run: `start(arguments)`, then `advance` from step to step, both pure functions.

    The loss is D + beta R; with target rates it is D at R = target, and beta is found. Adam; the
    learning rate falls to zero along a cosine; beta rises linearly from zero over
    `settings.warmup` steps. Minibatches and noise depend on (seed, step) alone: every beta of a
    seed sees the same. A run whose loss or gradient stops being finite, or has no finite square,
    takes no step from then on: it keeps the finite parameters that it had. With
    `settings.select` `best` the last images are held out of training, and a run ends with the
    parameters whose loss on them was lowest. A scale of the likelihood that is learned is fitted
    once more after the last step: to the images that are held out, else to all that the run is
    trained on.

    Args:
        settings: The sweep's settings; beta, seeds and learning rate are not read.
        autoencoder: The model, as pure functions.
        shape: What is static about the data.

    Attributes:
        examples: Images that it is trained on, the first ones.
        steps: How many steps a whole run has.
        state: The shapes of what `start` returns.

    Raises:
        SettingsError: If holding out leaves less than a batch, or the steps are too many or fewer
            than beta needs to warm up.
    """

    def __init__(self, settings: Settings, autoencoder: Autoencoder, shape: DataShape) -> None:
        select_best = settings.select == "best"
        self._autoencoder, self._batch_size = autoencoder, settings.batch_size
        self._shape = shape
        held_out = (shape.held_out or count_held_out(shape.examples)) if select_best else 0
        self.examples = shape.examples - held_out
        self.steps = _count_steps(settings, shape.examples, self.examples)
        self._loss = make_loss(settings, autoencoder, shape)
        self._rate_term = weighted_rate(settings.warmup)
        self._has_target = bool(settings.target_rates)
        if self._has_target:
            self._rate_term = rate_at_target(settings, self.steps)
        self._select = None
        if select_best:
            self._select = make_selection(
                self._loss,
                self._rate_term,
                shape.examples,
                held_out,
                settings.batch_size,
                self.steps,
            )
        kinds = jnp.float32, jnp.float32, jnp.int32, jnp.float32
        scalars: Any = [jax.ShapeDtypeStruct((), kind) for kind in kinds]  # zeros would be compiled
        self.state: TrainState = jax.eval_shape(self.start, SweptParameters(*scalars))

    def start(self, arguments: SweptParameters, principal: Principal | None = None) -> TrainState:
        """The state before the first step.

        Args:
            arguments: Of the run.
            principal: Of the training images, to start at the optimum of the linear beta-VAE of
                this beta or target rate; None to start at random.
        """
        model = self._autoencoder.build(key_for(arguments.seed, "model"))
        if principal is not None:
            asked = {"beta": arguments.beta}
            if self._has_target:
                asked = {"rate": arguments.target_rate}
            level = self._autoencoder.level(principal, **asked)
            arguments = arguments._replace(beta=level.beta)
            model = self._autoencoder.optimal(model, principal, level)
        log_beta = self._rate_term.init(arguments)
        nothing = Best(model, jnp.float32(jnp.inf), jnp.int32(0), log_beta)
        return TrainState(
            model=model,
            optimizer=self._adam(arguments).init(model),
            diverged_at=jnp.int32(-1),
            diverged_by=jnp.int32(-1),
            history=jnp.zeros((HISTORY_POINTS, 2), jnp.float32),
            log_beta=log_beta,
            best=nothing if self._select else None,
        )

    def advance(
        self,
        state: TrainState,
        arguments: SweptParameters,
        images: Array,
        first: Array,
        last: Array,
    ) -> TrainState:
        """The state after steps first to last - 1.

        Steps are traced: no number of them compiles anew, and where a block of steps ends changes
        nothing.

        Args:
            state: Before these steps.
            arguments: Of the run.
            images: (examples, dimensions) as stored.
            first: The first step, counted from 0.
            last: The step after the last one.
        """

        def one(index: Array, state: TrainState) -> TrainState:
            state = self._step(index, state, arguments, images)
            if self._select is None:
                return state
            return state._replace(best=self._select(index, state, arguments, images))

        state = lax.fori_loop(first, last, one, state)
        if self._autoencoder.learns_scale:
            # `last` is the same for all runs, so that vmap does not compute both branches.
            fitted = functools.partial(self._with_fitted_scale, arguments=arguments, images=images)
            state = lax.cond(last == self.steps, fitted, lambda state: state, state)
        return state

    def _with_fitted_scale(self, state: TrainState, arguments: SweptParameters, images: Array):
        """The state with the scale of the likelihood fitted for the parameters that are kept."""
        model = fit_likelihood_scale(
            self._autoencoder,
            self._shape,
            selected(state),
            images if state.best is None else images[self.examples :],
            key_for(arguments.seed, "scale"),
            self._batch_size,
        )
        if state.best is None:
            return state._replace(model=model)
        return state._replace(best=state.best._replace(model=model))

    def _adam(self, arguments: SweptParameters) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(arguments.learning_rate, self.steps))

    def _step(
        self, index: Array, state: TrainState, arguments: SweptParameters, images: Array
    ) -> TrainState:
        """One step of gradient descent, which a run that has diverged does not take."""
        order = key_for(arguments.seed, "order")
        rows = minibatch(order, index, self.examples, self._batch_size)
        key = jax.random.fold_in(key_for(arguments.seed, "noise"), index)
        (loss, terms), gradient = jax.value_and_grad(self._loss, has_aux=True)(
            state.model,
            images[rows],
            key,
            lambda rate: self._rate_term.loss(state.log_beta, arguments, index, rate),
        )
        # Adam keeps squares of gradients, so these must be finite too. A product of vectors sums
        # them: on a CPU the reduction of a matrix costs several times as much.
        finite = jnp.isfinite(loss + optax.tree.vdot(gradient, gradient))
        good = finite & (state.diverged_at < 0)
        first_bad = ~good & (state.diverged_at < 0)
        # Optax mixes integers and floats. Our tests run JAX with strict types, but for this call.
        with jax.numpy_dtype_promotion("standard"):
            updates, optimizer = self._adam(arguments).update(gradient, state.optimizer)
        updates = jax.tree.map(lambda update: jnp.where(good, update, 0.0), updates)
        model: Any = optax.apply_updates(state.model, updates)
        log_beta = self._rate_term.update(state.log_beta, arguments, index, terms[1])
        return state._replace(
            model=model,
            optimizer=optimizer,
            diverged_at=jnp.where(first_bad, index, state.diverged_at),
            diverged_by=jnp.where(first_bad, _cause(terms), state.diverged_by),
            history=state.history.at[index * HISTORY_POINTS // self.steps].add(
                jnp.where(good, terms, 0.0)
            ),
            log_beta=jax.tree.map(
                lambda new, old: jnp.where(good, new, old), log_beta, state.log_beta
            ),
        )


def _count_steps(settings: Settings, all_examples: int, examples: int) -> int:
    """The steps of a run that trains on `examples` images, checked."""
    if examples < settings.batch_size:
        raise SettingsError(
            f"select best holds out {all_examples - examples} of {all_examples} images: too few"
            f" are left for a batch of {settings.batch_size}; lower batch_size."
        )
    steps = settings.steps or (settings.epochs or 0) * (examples // settings.batch_size)
    if steps > MAX_COUNT:
        raise SettingsError(f"epochs: a run has at most {MAX_COUNT:,} steps: got {steps:,}.")
    if settings.warmup >= steps:
        raise SettingsError(
            f"warmup must be less than the {steps:,} steps of a run, as beta would not be what the"
            f" table says: got {settings.warmup:,}."
        )
    return steps


def _cause(terms: Array) -> Array:
    """Index into `TERMS` of what is not finite, given that one of them is not."""
    has_square = jnp.isfinite(terms**2)
    return jnp.where(has_square[0], jnp.where(has_square[1], 2, 1), 0).astype(jnp.int32)
