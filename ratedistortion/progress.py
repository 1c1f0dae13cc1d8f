"""What is shown while a sweep runs: a bar on a terminal, plain lines elsewhere."""

import contextlib
import os
import sys
import time
from typing import Any

from ratedistortion import events
from ratedistortion.text import printable

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows the events of a sweep on standard error; to be used in a `with` statement.

    Args:
        quiet: Show nothing but warnings.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._plan: events.Planned | None = None
        self._shown = time.monotonic()
        self._steps_before: dict[int, int] = {}

    def __enter__(self) -> "Progress":
        terminal = sys.stderr is not None and sys.stderr.isatty()
        if terminal and not os.environ.get("NO_COLOR") and not self._quiet:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            text, share = TextColumn("{task.description}"), TextColumn("{task.percentage:>3.0f}%")
            columns = text, BarColumn(), share, TimeRemainingColumn()
            self._bar = Bars(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def report(self, event: events.Event) -> None:
        """Shows one event; a terminal that is gone, or a full disk, does not end a sweep.

        Args:
            event: Any; some show nothing.
        """
        with contextlib.suppress(OSError):
            self._show(event)

    def _show(self, event: events.Event) -> None:
        match event:
            case events.DataRead():
                self._line(event.text)
            case events.Compiling():
                self._update(f"compiling {event.what}", None)
            case events.Planned():
                self._plan = event
                self._line(
                    f"{counted(event.runs, 'run')} of {event.steps} steps, {event.grid}"
                    f" {event.lowest:g} to {event.highest:g}, in {counted(event.chunks, 'chunk')},"
                    f" {event.batching} on {counted(event.devices, 'device')}"
                )
            case events.Trained():
                self._trained(event)
            case events.Measured():
                share = event.rows / event.of
                self._update(f"measuring: {event.rows} of {event.of} rows", share)
            case events.Diverged():
                self._line(
                    f"diverged: beta {event.beta:g}, seed {event.seed}, step {event.step}:"
                    f" {event.term} is not finite" + (f"; {event.data}" if event.data else "")
                )
            case events.ChunkDone():
                of = f" of {self._plan.chunks}" if self._plan else ""
                self._line(
                    f"chunk {event.chunk + 1}{of} done: training {event.train_seconds:.0f} s,"
                    f" measuring {event.measure_seconds:.0f} s"
                )
            case events.Warned():
                self._line(f"Warning: {event.text}", always=True)

    def _trained(self, event: events.Trained) -> None:
        plan = self._plan
        assert plan is not None
        first = self._steps_before.setdefault(event.chunk, event.steps)
        speed = (event.steps - first) * event.runs / max(event.seconds, 1e-9)
        total = plan.runs * plan.steps
        done = event.chunk * plan.width * plan.steps + event.steps * event.runs
        left = f", {(total - done) / speed:.0f} s left" if speed else ""
        text = (
            f"training: chunk {event.chunk + 1} of {plan.chunks}, step {event.steps} of"
            f" {plan.steps}, {speed:,.0f} model-steps/s"
        )
        self._update(text, done / total, left)

    def _update(self, text: str, share: float | None, left: str = "") -> None:
        if self._bar:
            total = 1.0 if share is not None else None
            self._bar.update(self._task, description=text, total=total, completed=share or 0.0)
        elif time.monotonic() - self._shown > _SECONDS_BETWEEN_LINES:
            self._line(text + left)

    def _line(self, text: str, always: bool = False) -> None:
        self._shown, text = time.monotonic(), printable(text)
        if self._bar:
            self._bar.console.print(text, highlight=False, markup=False)
        # Without standard error `print` would write to standard output.
        elif (always or not self._quiet) and sys.stderr:
            print(text, file=sys.stderr, flush=True)


def counted(number: int, noun: str) -> str:
    """A number and its noun: `1 chunk`, `2 chunks`.

    Args:
        number: How many, at least 0.
        noun: In the singular.

    Returns:
        Both, with an s where the number is not 1.
    """
    return f"{number} {noun}" + ("" if number == 1 else "s")
