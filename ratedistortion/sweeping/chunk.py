"""One chunk of a sweep as a pure function: it trains and measures runs, and knows no directory."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ratedistortion import events
from ratedistortion.engine.devices import out_of_memory
from ratedistortion.engine.engine import Block, Engine, MeasuredRun
from ratedistortion.engine.outcomes import Outcome, loss_curves, outcomes
from ratedistortion.engine.plan import RunId
from ratedistortion.errors import OutOfMemoryError
from ratedistortion.models.autoencoder import Model
from ratedistortion.models.parameters import flat
from ratedistortion.sweeping.rows import row
from ratedistortion.table.identity import row_name, row_names
from ratedistortion.training.state import selected


class MeasuredRow(NamedTuple):
    """What was measured last, and all rows of the chunk so far, in the order of its runs."""

    measured: MeasuredRun
    rows: list[dict[str, Any]]


class ChunkResult(NamedTuple):
    """What a chunk came to.

    Attributes:
        rows: The rows of the table, in their order.
        pictures: For the gallery, each (runs, ...).
        parameters: Of the models, by flat name, each (runs, ...).
        losses: The curve of every run.
        model_steps: Training steps that were made here, summed over the runs.
        train_seconds: Time that they took.
        measure_seconds: Time that measuring took, without compiling it.
    """

    rows: list[dict[str, Any]]
    pictures: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]
    losses: list[events.Loss]
    model_steps: int
    train_seconds: float
    measure_seconds: float


def run_chunk(
    engine: Engine,
    chunk: int,
    runs: Sequence[RunId],
    saved: tuple[int, list[np.ndarray]] | None,
    measured_rows: Sequence[dict[str, Any]] = (),
) -> Iterator[events.Event | Block | MeasuredRow | ChunkResult]:
    """Trains and measures the runs of a chunk.

    A caller that stops iterating ends the work; what it has stored by then is all that is left.

    Args:
        engine: Of the sweep.
        chunk: Which chunk of the sweep, from 0, for the events.
        runs: Those of the chunk.
        saved: A checkpoint that `engine` can continue: steps done and the leaves of the state;
            None to begin.
        measured_rows: Rows that are measured already, of a state after the last step.

    Yields:
        Events; a `Block` after every dispatch of training, whose state can be stored; every
        measurement of a run on a split, with its codes and its row; and the result, unless training
        so many runs at once does not fit in memory.

    Raises:
        OutOfMemoryError: If measuring one run does not fit in memory.
    """
    done, leaves = saved or (0, None)
    first, train_seconds, state = done, 0.0, None
    try:
        for block in engine.train(runs, leaves, done):
            done, state = block.steps, block.state
            train_seconds += block.seconds
            if saved is None or done > first:  # the state of a checkpoint was told of already
                yield events.Trained(chunk, len(runs), done, train_seconds)
            yield block
    except Exception as error:
        if not out_of_memory(error):
            raise
        return
    assert state is not None
    models, ended = selected(state), outcomes(runs, state)
    began, compiled = time.perf_counter(), engine.compile_seconds
    rows = yield from measure_chunk(engine, chunk, models, ended, measured_rows)
    pictures = engine.pictures(runs, models)
    measure_seconds = time.perf_counter() - began - (engine.compile_seconds - compiled)
    losses = [events.Loss(**curve) for curve in loss_curves(runs, state, engine.steps)]
    yield from losses
    for run, outcome in ended.items():
        if outcome.diverged_at is not None and outcome.diverged_by is not None:
            yield events.Diverged(
                **vars(run),
                step=outcome.diverged_at,
                term=outcome.diverged_by,
                data=engine.sweep.data.far_from_unit_scale,
            )
    parameters = {name: np.asarray(leaf)[: len(runs)] for name, leaf in flat(models).items()}
    model_steps = (done - first) * len(runs)
    yield ChunkResult(
        rows, pictures, parameters, losses, model_steps, train_seconds, measure_seconds
    )


def measure_chunk(
    engine: Engine,
    chunk: int,
    models: Model,
    ended: Mapping[RunId, Outcome],
    measured_rows: Sequence[dict[str, Any]] = (),
) -> Generator[events.Event | MeasuredRow, None, list[dict[str, Any]]]:
    """Measures the models of a chunk.

    Args:
        engine: Of the sweep.
        chunk: As for `run_chunk`.
        models: Those of the runs, as `Engine.measure` takes them.
        ended: How each run of the chunk ended, in their order.
        measured_rows: As for `run_chunk`.

    Yields:
        Events, and every measurement.

    Returns:
        The rows of the chunk, in their order.

    Raises:
        OutOfMemoryError: If measuring one run does not fit in memory.
    """
    if not engine.can_measure:
        yield events.Compiling("measuring")
    runs, rows = list(ended), list(measured_rows)
    known = {row_name(row) for row in rows}
    order = row_names(runs)
    try:
        for measured in engine.measure(runs, models, known):
            found = row(engine, measured, ended[measured.run])
            rows.append(found)
            rows.sort(key=lambda row: order.index(row_name(row)))
            # The event comes first: a sweep that stops with the row stored has told of it.
            yield events.Measured(chunk, len(rows), 2 * len(runs), found)
            yield MeasuredRow(measured, rows)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "measuring one run did not fit in memory: free some and run the same command again,"
            " which measures what is trained, or use another directory and lower max_examples."
        ) from error
    return rows
