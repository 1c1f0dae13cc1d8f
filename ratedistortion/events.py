"""What happens while a sweep runs, as values: for the progress display, the log and listeners."""

from collections.abc import Callable
from typing import Any, NamedTuple


class DataRead(NamedTuple):
    """The data set is read; `text` says in one line what it is and how it was read."""

    text: str


class Planned(NamedTuple):
    """The sweep is about to train.

    Attributes:
        runs: Runs of the whole sweep.
        steps: Training steps of each.
        grid: What differs between the runs of a seed: `beta` or `target rate`.
        lowest: The lowest beta, or target rate in nats.
        highest: The highest.
        batching: `map` or `vmap`.
        devices: How many devices the runs are spread over.
        width: Runs that are trained at once.
        chunks: How many groups of `width` runs there are.
    """

    runs: int
    steps: int
    grid: str
    lowest: float
    highest: float
    batching: str
    devices: int
    width: int
    chunks: int


class Compiling(NamedTuple):
    """XLA compiles what comes next: `training` or `measuring`."""

    what: str


class Trained(NamedTuple):
    """Some more steps of a chunk are done.

    Attributes:
        chunk: Which one, from 0.
        runs: How many runs it trains.
        steps: Steps that each of its runs has behind it.
        seconds: Time that this process spent on training the chunk.
    """

    chunk: int
    runs: int
    steps: int
    seconds: float


class Measured(NamedTuple):
    """One more run of a chunk is measured on one split; `rows` of its `of` rows are done.

    Attributes:
        chunk: Which one, from 0.
        rows: How many of its rows are done.
        of: How many it has.
        row: The new one, as the table has it: column -> value, in nats.
    """

    chunk: int
    rows: int
    of: int
    row: dict[str, Any]


class Loss(NamedTuple):
    """The loss curve of a run: mean D and R, nats per image, over shares of its steps.

    Attributes:
        beta: Weight of the rate, given or found.
        target_rate: Rate that was asked for, in nats; None where a beta was.
        seed: Of the run.
        steps: Where each share ends.
        distortion: Mean D over the share; None where the run had diverged.
        rate: Mean R likewise.
    """

    beta: float
    target_rate: float | None
    seed: int
    steps: list[int]
    distortion: list[float | None]
    rate: list[float | None]


class Diverged(NamedTuple):
    """A run met a number that is not finite and was frozen there.

    Attributes:
        beta: What was asked of the run.
        seed: Of the run.
        target_rate: Rate that was asked for, in nats; None where a beta was.
        step: Where that was.
        term: What was not finite: D, R or the gradient.
        data: What may be the cause in the data; None where nothing is known.
    """

    beta: float
    seed: int
    target_rate: float | None
    step: int
    term: str
    data: str | None


class ChunkDone(NamedTuple):
    """The result of a chunk is stored; this process spent so many seconds on it."""

    chunk: int
    train_seconds: float
    measure_seconds: float


class Warned(NamedTuple):
    """Something that the user should know of, in one line."""

    text: str


class Finished(NamedTuple):
    """The table is written; this process spent so many seconds."""

    seconds: float
    compile_seconds: float
    train_seconds: float
    measure_seconds: float
    model_steps_per_second: float


Event = (
    DataRead
    | Planned
    | Compiling
    | Trained
    | Measured
    | Loss
    | Diverged
    | ChunkDone
    | Warned
    | Finished
)
Report = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listens to no event.

    Args:
        event: Any.
    """


# The names in the log of the events that are kept there.
LOGGED: dict[type, str] = {
    DataRead: "data",
    Diverged: "diverged",
    ChunkDone: "chunk done",
    Warned: "warning",
    Finished: "finished",
}


def as_logged(event: Event) -> dict[str, Any] | None:
    """The line of the log for an event, as JSON can hold it; None if the log does not keep it.

    Args:
        event: Any of the events of this file.

    Returns:
        Name -> value, with the event's name first.
    """
    name = LOGGED.get(type(event))
    return None if name is None else {"event": name, **event._asdict()}
