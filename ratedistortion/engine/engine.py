"""Many runs as one compiled job; the only place that knows there are many."""

import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ratedistortion.datasets.principal import Principal, principal_components
from ratedistortion.engine.plan import RunId, Sweep
from ratedistortion.engine.programs import Program, Programs
from ratedistortion.measuring.measurement import Codes, Measurement, make_measure
from ratedistortion.measuring.pictures import PICTURES, pictures
from ratedistortion.models.autoencoder import Autoencoder, Model
from ratedistortion.models.contract import check_values
from ratedistortion.models.parameters import filled
from ratedistortion.models.skip import check_learned_scale
from ratedistortion.table.identity import run_key
from ratedistortion.training.run import Run
from ratedistortion.training.state import DataShape, SweptParameters, TrainState, selected

# Long enough that the host's part costs nothing, short enough that a signal is soon heard.
_BLOCK_SECONDS = 1.0


class Block(NamedTuple):
    """Where training stands: `steps` are done; the state lives until the next block begins."""

    steps: int
    seconds: float
    state: TrainState


class MeasuredRun(NamedTuple):
    """One run on one split, as NumPy arrays."""

    run: RunId
    split: str
    measurement: Measurement
    codes: Codes


class Engine:
    """The compiled functions of a sweep, each compiled once however many chunks there are.

    Args:
        sweep: What is computed; its data are moved to every device once.
        devices: At least as many as the plan needs.

    Attributes:
        sweep: As given.
        steps: Training steps of a run.
        programs: Its compiled functions.
        information_kind: `exact` where posteriors are Gaussian, so that I(n;z) is estimated
            against all of them, or `bounds`.
    """

    def __init__(self, sweep: Sweep, devices: Sequence[Any]) -> None:
        self.sweep = sweep
        plan, data = sweep.plan, sweep.data
        used, automatic = devices[: plan.devices], (jax.sharding.AxisType.Auto,)
        self._mesh = jax.make_mesh((plan.devices,), ("runs",), automatic, devices=used)
        self._spread = NamedSharding(self._mesh, P("runs"))
        self._everywhere = NamedSharding(self._mesh, P())
        put = functools.partial(jax.device_put, device=self._everywhere)
        self._images = {split: put(images) for split, images in data.splits.items()}
        own = data.train is not data.splits["train"]
        self._train_images = put(data.train) if own else self._images["train"]
        self._originals = put(data.splits["test"][:PICTURES])
        self.autoencoder = Autoencoder(sweep.settings, data.shape, data.spread)
        check_values(self.autoencoder.likelihood, sweep.settings.likelihood, data)
        shape = DataShape(len(data.train), data.scale, data.dynamic, data.held_out)
        self._run = Run(sweep.settings, self.autoencoder, shape)
        self._principal, settings = None, sweep.settings
        if settings.start == "linear" or self.autoencoder.learns_scale:
            count = self.autoencoder.latents
            principal = principal_components(data, self._run.examples, count)
            if self.autoencoder.learns_scale:
                check_learned_scale(principal, settings.betas, settings.target_rates)
            if settings.start == "linear":
                self._principal = jax.tree.map(put, principal)
        gaussian = self.autoencoder.gaussian(self._run.state.model)
        self.information_kind = "exact" if gaussian else "bounds"
        self.steps = self._run.steps
        self._make_programs()

    def _make_programs(self) -> None:
        """Says how each program is compiled; compiles nothing yet."""
        arguments = self._arguments(self.sweep.runs[:1])  # of any chunk, for their shapes
        shape = functools.partial(jax.ShapeDtypeStruct, sharding=self._spread)
        self._state = jax.tree.map(
            lambda leaf: shape((self.sweep.plan.width, *leaf.shape), leaf.dtype), self._run.state
        )
        number = jax.ShapeDtypeStruct((), np.int32, sharding=self._everywhere)
        trained = selected(self._state), arguments.seed
        self.programs = Programs(
            start=self._program(self._start, [arguments], [self._principal]),
            advance=self._program(
                self._advance,
                [self._state, arguments],
                [self._train_images, number, number],
                donate_argnums=0,
            ),
            measure={
                split: self._program(self._measure, trained, [images, number], float64=True)
                for split, images in self._images.items()
            },
            pictures=self._program(self._pictures, trained, [self._originals]),
        )

    def continues(self, done: int, saved: Sequence[np.ndarray]) -> bool:
        """Whether `train` can go on from a checkpoint.

        Args:
            done: Steps that it has behind it.
            saved: The leaves of its state.
        """
        own, found = (
            [(leaf.shape, leaf.dtype) for leaf in leaves]
            for leaves in (jax.tree.leaves(self._state), saved)
        )
        return own == found and 0 <= done <= self.steps

    def train(
        self, runs: Sequence[RunId], saved: Sequence[np.ndarray] | None = None, done: int = 0
    ) -> Iterator[Block]:
        """Trains the runs of a chunk, block by block.

        Args:
            runs: At most `plan.width` of them; padded with copies of the last.
            saved: The leaves of a state, to continue from: `continues` says whether they fit.
            done: Steps that `saved` has behind it.

        Yields:
            A block before the first step and after each dispatch; the last has all the steps.
        """
        arguments = self._arguments(runs)
        if saved is None:
            state = jax.block_until_ready(self.programs.start(arguments, self._principal))
        else:
            tree = jax.tree.structure(self._state)
            state = jax.tree.unflatten(tree, jax.device_put(list(saved), self._spread))
        yield Block(done, 0.0, state)
        size = 1
        while done < self.steps:
            last = min(done + size, self.steps)
            advance = self.programs.advance.compiled()
            steps = jax.device_put((np.int32(done), np.int32(last)), self._everywhere)
            began = time.perf_counter()
            state = jax.block_until_ready(advance(state, arguments, self._train_images, *steps))
            seconds = time.perf_counter() - began
            size = max(1, min(int((last - done) / seconds * _BLOCK_SECONDS), 2 * size))
            done = last
            yield Block(done, seconds, state)

    def measure(
        self,
        runs: Sequence[RunId],
        models: Model,
        known: Collection[tuple[float, int, str]] = (),
    ) -> Iterator[MeasuredRun]:
        """Measures every run of a trained chunk on every split, one run per device at a time.

        Args:
            runs: The runs of the chunk.
            models: What `selected` gives of their state after the last step, or `models_of` makes.
            known: What is measured already: target rate or else beta, seed and split.

        Yields:
            One run on one split, in no order that a caller may rely on.
        """
        share = self.sweep.plan.width // self.sweep.plan.devices
        seeds = self._arguments(runs).seed
        for place in range(share):
            number = jax.device_put(np.int32(place), self._everywhere)
            for split, images in self._images.items():
                asked = [
                    (device, runs[n])
                    for device in range(self.sweep.plan.devices)
                    if (n := device * share + place) < len(runs)
                    and (*run_key(vars(runs[n])), split) not in known
                ]
                if not asked:
                    continue
                program = self.programs.measure[split].compiled()
                # Set float64 inside the loop: if the caller abandons this generator, float64 must
                # not stay on.
                with jax.enable_x64(True):
                    results = program(models, seeds, images, number)
                    results = jax.tree.map(np.asarray, results)
                for device, run in asked:
                    one = jax.tree.map(lambda leaf, device=device: leaf[device], results)
                    yield MeasuredRun(run, split, *one)

    def models_of(self, parameters: Sequence[Mapping[str, np.ndarray]]) -> Model:
        """The models of a chunk on the devices, as `measure` takes them.

        Args:
            parameters: Of each run, at most `plan.width` of them: name -> array.

        Raises:
            ValueError: If names, shapes or dtypes are not those of this sweep's models.
        """
        padded = [*parameters, *[parameters[-1]] * (self.sweep.plan.width - len(parameters))]
        models = [filled(self._run.state.model, each) for each in padded]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *models)
        return jax.device_put(stacked, self._spread)

    def pictures(self, runs: Sequence[RunId], models: Model) -> dict[str, np.ndarray]:
        """The pictures of every run, as `pictures.pictures` has them, of the first test images.

        Args:
            runs: The runs of a chunk.
            models: As for `measure`.

        Returns:
            Name -> (runs, PICTURES, *shape of an image), float32.
        """
        seeds = self._arguments(runs).seed
        results = self.programs.pictures(models, seeds, self._originals)
        return {
            name: np.asarray(value)[: len(runs)].reshape(len(runs), -1, *self.sweep.data.shape)
            for name, value in results.items()
        }

    @property
    def parameters(self) -> int:
        """How many numbers a model has."""
        return sum(leaf.size for leaf in jax.tree.leaves(self._run.state.model))

    def training_bytes(self) -> int:
        """What training takes on all devices beside the data, in bytes.

        Compiles the training of a chunk, and computes nothing.
        """
        needs = self.programs.advance.compiled().memory_analysis()
        taken = needs.argument_size_in_bytes + needs.output_size_in_bytes
        taken += needs.temp_size_in_bytes - needs.alias_size_in_bytes
        return self.sweep.plan.devices * (taken - self.sweep.data.train.nbytes)

    @property
    def compile_seconds(self) -> float:
        """Time that was spent waiting for the compiler."""
        return sum(program.seconds for program in self.programs.all())

    @property
    def can_measure(self) -> bool:
        """Whether the programs that measure are compiled already."""
        return all(program.is_compiled for program in self.programs.measure.values())

    def _arguments(self, runs: Sequence[RunId]) -> SweptParameters:
        padded = [*runs, *[runs[-1]] * (self.sweep.plan.width - len(runs))]
        learning_rate = self.sweep.settings.learning_rate
        columns = {  # NumPy's: JAX would compile a program to fill each
            "beta": np.array([run.beta for run in padded], np.float32),
            "learning_rate": np.full(len(padded), learning_rate, np.float32),
            "seed": np.array([run.seed for run in padded], np.int32),
            "target_rate": np.array([run.target_rate or 0.0 for run in padded], np.float32),
        }
        return SweptParameters(**jax.device_put(columns, self._spread))

    def _program(
        self, function: Callable[..., Any], spread: Any, everywhere: Any = (), **options: Any
    ) -> Program:
        """What each device computes, of its share of `spread` and of all of `everywhere`."""
        specs = (*(P("runs") for _ in spread), *(P() for _ in everywhere))
        mapped = jax.shard_map(
            function, mesh=self._mesh, in_specs=specs, out_specs=P("runs"), check_vma=False
        )
        return Program(mapped, *spread, *everywhere, **options)

    def _start(self, arguments: SweptParameters, principal: Principal | None) -> TrainState:
        start = functools.partial(self._run.start, principal=principal)
        if self.sweep.plan.batching == "vmap":
            return jax.vmap(start)(arguments)
        return lax.map(start, arguments)

    def _advance(self, state, arguments, images, first, last) -> TrainState:
        def one(state: TrainState, arguments: SweptParameters) -> TrainState:
            return self._run.advance(state, arguments, images, first, last)

        with jax.default_matmul_precision(self.sweep.settings.precision):
            return self._in_place(one, state, arguments)

    def _measure(self, models, seeds, images, place) -> tuple[Measurement, Codes]:
        settings, scale = self.sweep.settings, self.sweep.data.scale
        measure = make_measure(
            self.autoencoder, self.autoencoder.latents, scale, settings.codes, settings.iwae
        )
        with jax.default_matmul_precision("highest"):
            model, seed = jax.tree.map(lambda leaf: leaf[place], (models, seeds))
            return jax.tree.map(lambda leaf: leaf[None], measure(model, images, seed))

    def _pictures(self, models, seeds, images) -> dict[str, jax.Array]:
        x = images.astype(np.float32) * np.float32(self.sweep.data.scale)
        return lax.map(lambda run: pictures(self.autoencoder, run[0], x, run[1]), (models, seeds))

    def _in_place(self, function: Callable[..., Any], state: Any, arguments: Any) -> Any:
        """`function` of the runs, each of whose states makes room for the next.

        `lax.map` would gather the new states in other memory and copy them back.
        """
        if self.sweep.plan.batching == "vmap":
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

        return lax.fori_loop(0, self.sweep.plan.width // self.sweep.plan.devices, advance, state)


def leaves(state: TrainState) -> list[np.ndarray]:
    """A state as a list of NumPy arrays, from which `Engine.train` continues.

    Args:
        state: Of a chunk: every leaf has the axis of its runs first.
    """
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
