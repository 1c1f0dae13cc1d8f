"""What one device computes of its share of the runs; tracing it compiles nothing yet."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jaxtyping import Array

from ratedistortion.engine.plan import Sweep
from ratedistortion.measuring.information import Codes
from ratedistortion.measuring.measurement import Measurement, make_measure
from ratedistortion.measuring.pictures import make_pictures
from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.training.run import Run
from ratedistortion.training.state import SweptParameters, TrainState


class Share:
    """The functions of a device, of arrays whose first axis is that of its runs.

    Args:
        sweep: What is computed.
        autoencoder: Its model.
        run: Its training.
    """

    def __init__(self, sweep: Sweep, autoencoder: Autoencoder, run: Run) -> None:
        self._sweep, self._autoencoder, self._run = sweep, autoencoder, run

    def start(self, arguments: SweptParameters) -> TrainState:
        """The states of the runs before the first step.

        Args:
            arguments: Of the runs.
        """
        if self._sweep.plan.batching == "vmap":
            return jax.vmap(self._run.start)(arguments)
        return lax.map(self._run.start, arguments)

    def advance(
        self,
        state: TrainState,
        arguments: SweptParameters,
        images: Array,
        first: Array,
        last: Array,
    ) -> TrainState:
        """The states after some steps.

        Args:
            state: Of the runs, before these steps.
            arguments: Of the runs.
            images: The training images, as stored.
            first: The first step, counted from 0.
            last: The step after the last one.
        """

        def one(state: TrainState, arguments: SweptParameters) -> TrainState:
            return self._run.advance(state, arguments, images, first, last)

        with jax.default_matmul_precision(self._sweep.settings.precision):
            return self._in_place(one, state, arguments)

    def measure(
        self, model: Model, seed: Array, images: Array, place: Array
    ) -> tuple[Measurement, Codes]:
        """Measures one of the runs on one split.

        Args:
            model: The parameters of the runs.
            seed: Of the runs.
            images: All images of the split, as stored.
            place: Which of the runs.

        Returns:
            What `make_measure` has, with a first axis of this one run.
        """
        settings, scale = self._sweep.settings, self._sweep.data.scale
        measure = make_measure(
            self._autoencoder, settings.latents, scale, settings.codes, settings.iwae
        )
        with jax.default_matmul_precision("highest"):
            model, seed = jax.tree.map(lambda leaf: leaf[place], (model, seed))
            return jax.tree.map(lambda leaf: leaf[None], measure(model, images, seed))

    def pictures(self, model: Model, seed: Array, images: Array) -> dict[str, Array]:
        """The pictures of the runs, as `make_pictures` has them.

        Args:
            model: The parameters of the runs.
            seed: Of the runs.
            images: Those that are reconstructed, as stored.
        """
        pictures = make_pictures(self._autoencoder, self._sweep.data.scale)
        return lax.map(lambda run: pictures(run[0], images, run[1]), (model, seed))

    def _in_place(self, function: Callable[..., Any], state: Any, arguments: Any) -> Any:
        """`function` of the runs, each of whose states makes room for the next.

        `lax.map` would gather the new states in other memory and copy them back.
        """
        if self._sweep.plan.batching == "vmap":
            return jax.vmap(function)(state, arguments)
        plain = {"allow_negative_indices": False}

        def advance(n: Array, state: Any) -> Any:
            one = jax.tree.map(
                lambda leaf: lax.dynamic_index_in_dim(leaf, n, keepdims=False, **plain),
                (state, arguments),
            )
            return jax.tree.map(
                lambda leaf, new: lax.dynamic_update_index_in_dim(leaf, new, n, 0, **plain),
                *(state, function(*one)),
            )

        return lax.fori_loop(0, self._sweep.plan.width // self._sweep.plan.devices, advance, state)
