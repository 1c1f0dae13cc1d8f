"""Many runs as one compiled job; the only place that knows there are many."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ratedistortion.datasets import Dataset
from ratedistortion.engine.plan import Plan, RunId
from ratedistortion.engine.programs import Programs
from ratedistortion.errors import RunDirectoryError
from ratedistortion.measuring.measurement import Codes, Measurement, make_measure
from ratedistortion.models.autoencoder import Functions, make_functions
from ratedistortion.settings import Settings
from ratedistortion.training.run import Run, make_run
from ratedistortion.training.state import DataShape, SweptParameters, TrainState, selected

# Long enough that the host's part costs nothing, short enough that a signal is soon heard.
_BLOCK_SECONDS = 1.0
PICTURES = 10


class Block(NamedTuple):
    """Where training stands: `steps` are done; the state lives until the next block begins."""

    steps: int
    seconds: float
    state: TrainState


class Measured(NamedTuple):
    """One run on one split, as NumPy arrays."""

    run: RunId
    split: str
    measurement: Measurement
    codes: Codes


class Engine:
    """The compiled functions of a sweep, each compiled once however many chunks there are.

    Args:
        settings: The sweep.
        data: Its data set; moved to every device once.
        plan: Its chunks.
        devices: At least as many as the plan needs.
    """

    def __init__(
        self, settings: Settings, data: Dataset, plan: Plan, devices: Sequence[Any]
    ) -> None:
        self.settings, self.data, self.plan = settings, data, plan
        used, automatic = devices[: plan.devices], (jax.sharding.AxisType.Auto,)
        self._mesh = jax.make_mesh((plan.devices,), ("runs",), automatic, devices=used)
        self._spread = NamedSharding(self._mesh, P("runs"))
        self._everywhere = NamedSharding(self._mesh, P())
        put = functools.partial(jax.device_put, device=self._everywhere)
        self._images = {split: put(images) for split, images in data.splits.items()}
        own = data.train is not data.splits["train"]
        self._train_images = put(data.train) if own else self._images["train"]
        self._originals = put(data.splits["test"][:PICTURES])
        self.functions, self._run = trace_run(settings, data)
        gaussian = self.functions.gaussian(self._run.state.model)
        self.information_kind = "exact" if gaussian else "bounds"
        self.steps = self._run.steps
        self._any = self._arguments(plan.runs(settings, 0))  # of any chunk, for their shapes
        self.programs = Programs(self._lower, devices[0].platform)

    def train(
        self, runs: Sequence[RunId], saved: Sequence[np.ndarray] | None = None, done: int = 0
    ) -> Iterator[Block]:
        """Trains the runs of a chunk, block by block.

        Args:
            runs: At most `plan.width` of them; padded with copies of the last.
            saved: The leaves of a state that `leaves` returned, to continue from.
            done: Steps that `saved` has behind it.

        Yields:
            A block before the first step and after each dispatch; the last has all the steps.
        """
        arguments = self._arguments(runs)
        if done < self.steps:
            self.programs.ahead("advance")
        if saved is None:
            state = jax.block_until_ready(self.programs["start"](arguments))
        else:
            shapes, tree = jax.tree.flatten(self._state)
            expected = [(leaf.shape, leaf.dtype) for leaf in shapes]
            if [(leaf.shape, leaf.dtype) for leaf in saved] != expected:
                raise RunDirectoryError("the checkpoint does not fit the model: delete it.")
            state = jax.tree.unflatten(tree, jax.device_put(list(saved), self._spread))
        yield Block(done, 0.0, state)
        size = 1
        while done < self.steps:
            last = min(done + size, self.steps)
            advance = self.programs["advance"]
            steps = jax.device_put((np.int32(done), np.int32(last)), self._everywhere)
            began = time.perf_counter()
            state = jax.block_until_ready(advance(state, arguments, self._train_images, *steps))
            seconds = time.perf_counter() - began
            size = max(1, min(int((last - done) / seconds * _BLOCK_SECONDS), 2 * size))
            done = last
            yield Block(done, seconds, state)

    def measure(self, runs: Sequence[RunId], state: TrainState) -> Iterator[Measured]:
        """Measures every run of a trained chunk on every split, one run per device at a time."""
        share = self.plan.width // self.plan.devices
        arguments = self._arguments(runs)
        for place in range(share):
            number = jax.device_put(np.int32(place), self._everywhere)
            for split, images in self._images.items():
                program = self.programs[f"measure {split}"]
                # Not around the loop: who stops listening would be left with it.
                with jax.enable_x64(True):
                    results = jax.tree.map(np.asarray, program(state, arguments, images, number))
                for device in range(self.plan.devices):
                    n = device * share + place
                    if n < len(runs):
                        one = jax.tree.map(lambda leaf, device=device: leaf[device], results)
                        yield Measured(runs[n], split, *one)

    def pictures(self, runs: Sequence[RunId], state: TrainState) -> dict[str, np.ndarray]:
        """Images for the gallery, each (runs, PICTURES, *shape of an image), float32.

        Returns:
            `reconstructions` of the first test images from the middle of their posteriors, and
            `samples` decoded from the prior: expected images, or draws where the decoder's pixels
            depend on one another.
        """
        results = self.programs["pictures"](state, self._arguments(runs), self._originals)
        return {
            name: np.asarray(value)[: len(runs)].reshape(len(runs), -1, *self.data.shape)
            for name, value in results.items()
        }

    def training_bytes(self) -> int | None:
        """What training takes on all devices beside the data, in bytes; None where XLA is silent.

        Compiles the training of a chunk, and computes nothing.
        """
        self.programs.ahead("advance", "start")
        needs = self.programs["advance"].memory_analysis()
        if needs is None:
            return None
        taken = needs.argument_size_in_bytes + needs.output_size_in_bytes
        taken += needs.temp_size_in_bytes - needs.alias_size_in_bytes
        return self.plan.devices * (taken - self.data.train.nbytes)

    def compile_ahead(self) -> None:
        """Begins to compile what follows training."""
        self.programs.ahead(*(f"measure {split}" for split in self._images), "pictures")

    def _arguments(self, runs: Sequence[RunId]) -> SweptParameters:
        padded = [*runs, *[runs[-1]] * (self.plan.width - len(runs))]
        columns = {  # NumPy's: JAX would compile a program to fill each
            "beta": np.array([run.beta for run in padded], np.float32),
            "learning_rate": np.full(len(padded), self.settings.learning_rate, np.float32),
            "seed": np.array([run.seed for run in padded], np.int32),
            "target_rate": np.array([run.target_rate or 0.0 for run in padded], np.float32),
        }
        return SweptParameters(**jax.device_put(columns, self._spread))

    @functools.cached_property
    def _state(self) -> TrainState:
        """The shapes of the state of a chunk."""
        shape = functools.partial(jax.ShapeDtypeStruct, sharding=self._spread)
        return jax.tree.map(
            lambda leaf: shape((self.plan.width, *leaf.shape), leaf.dtype), self._run.state
        )

    def _lower(self, name: str, platforms: tuple[str, ...] | None = None) -> jax.stages.Lowered:
        """A program for any chunk, on its own or other platforms; in a thread without settings."""
        to: dict[str, Any] = {"lowering_platforms": platforms}
        if name == "start":
            return jax.jit(self._start).trace(self._any).lower(**to)
        inputs = self._state, self._any
        number = jax.ShapeDtypeStruct((), np.int32, sharding=self._everywhere)
        if name == "advance":
            advance = jax.jit(self._advance, donate_argnums=0)
            return advance.trace(*inputs, self._train_images, number, number).lower(**to)
        if name == "pictures":
            return jax.jit(self._pictures).trace(*inputs, self._originals).lower(**to)
        images = self._images[name.removeprefix("measure ")]
        with jax.enable_x64(True):
            return jax.jit(self._measure).trace(*inputs, images, number).lower(**to)

    def _spread_over_devices(self, function: Callable[..., Any], *specs: P) -> Callable[..., Any]:
        return jax.shard_map(
            function, mesh=self._mesh, in_specs=specs, out_specs=P("runs"), check_vma=False
        )

    def _start(self, arguments: SweptParameters) -> TrainState:
        def local(arguments: SweptParameters) -> TrainState:
            if self.plan.batching == "vmap":
                return jax.vmap(self._run.start)(arguments)
            return lax.map(self._run.start, arguments)

        return self._spread_over_devices(local, P("runs"))(arguments)

    def _in_place(self, function: Callable[..., Any], state: Any, arguments: Any) -> Any:
        """`function` of the runs of a device, each of whose states makes room for the next.

        `lax.map` would gather the new states in other memory and copy them back.
        """
        if self.plan.batching == "vmap":
            return jax.vmap(function)(state, arguments)
        plain = {"allow_negative_indices": False}

        def advance(n: jax.Array, state: Any) -> Any:
            one = jax.tree.map(
                lambda leaf: lax.dynamic_index_in_dim(leaf, n, keepdims=False, **plain),
                (state, arguments),
            )
            return jax.tree.map(
                lambda leaf, new: lax.dynamic_update_index_in_dim(leaf, new, n, 0, **plain),
                *(state, function(*one)),
            )

        return lax.fori_loop(0, self.plan.width // self.plan.devices, advance, state)

    def _advance(self, state, arguments, images, first, last) -> TrainState:
        def local(state, arguments, images, first, last):
            return self._in_place(
                lambda s, a: self._run.advance(s, a, images, first, last), state, arguments
            )

        with jax.default_matmul_precision(self.settings.precision):
            return self._spread_over_devices(local, P("runs"), P("runs"), P(), P(), P())(
                state, arguments, images, first, last
            )

    def _measure(self, state, arguments, images, place) -> tuple[Measurement, Codes]:
        measure = make_measure(
            self.functions,
            self.settings.latents,
            self.data.scale,
            self.settings.codes,
            self.settings.iwae,
        )

        def local(model, seed, images, place):
            model, seed = jax.tree.map(lambda leaf: leaf[place], (model, seed))
            return jax.tree.map(lambda leaf: leaf[None], measure(model, images, seed))

        with jax.default_matmul_precision("highest"):
            return self._spread_over_devices(local, P("runs"), P("runs"), P(), P())(
                selected(state), arguments.seed, images, place
            )

    def _pictures(self, state, arguments, images) -> dict[str, jax.Array]:
        functions, scale = self.functions, jnp.float32(self.data.scale)

        def one(model, seed, images):
            posterior = functions.encode(model, images.astype(jnp.float32) * scale)
            keys = jax.random.split(jax.random.key(seed, impl="threefry2x32"), 3)
            codes = {
                "reconstructions": functions.draw(model, posterior, 0 * posterior.mean),
                "samples": functions.sample_prior(model, keys[0], PICTURES),
            }
            return {
                name: functions.decode(model, z, key)
                for (name, z), key in zip(codes.items(), keys[1:], strict=True)
            }

        def local(model, seed, images):
            return lax.map(lambda pair: one(pair[0], pair[1], images), (model, seed))

        return self._spread_over_devices(local, P("runs"), P("runs"), P())(
            selected(state), arguments.seed, images
        )


def trace_run(settings: Settings, data: Dataset) -> tuple[Functions, Run]:
    """The model's functions and the run, without computing."""
    functions = make_functions(settings, data.shape)
    examples, dimensions = data.train.shape
    source = DataShape(examples, dimensions, data.scale, data.dynamic)
    return functions, make_run(settings, functions, source)


def leaves(state: TrainState) -> list[np.ndarray]:
    """A state as a list of NumPy arrays, from which `Engine.train` continues."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
