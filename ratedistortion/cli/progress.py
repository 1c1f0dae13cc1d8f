"""What is shown while a sweep runs: a bar on a terminal, plain lines elsewhere."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows the events of a sweep on standard error; to be used in a `with` statement.

    Args:
        quiet: Show nothing but warnings.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self._animated = terminal and not os.environ.get("NO_COLOR") and not quiet
        self._plan: Mapping[str, Any] = {}
        self._shown = time.monotonic()
        self._steps_before: dict[int, int] = {}

    def __enter__(self) -> "Progress":
        if self._animated:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self._bar = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def report(self, event: Mapping[str, Any]) -> None:
        """Shows one event; a log that is full or gone does not end a sweep."""
        with contextlib.suppress(OSError):
            self._show(event)

    def _show(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "plan":
                self._plan = event
                self._line(
                    f"{event['runs']} runs of {event['steps']} steps, {event['grid']}"
                    f" {event['lowest']:g} to {event['highest']:g}, in {event['chunks']} chunk(s),"
                    f" {event['batching']} on {event['devices']} device(s)"
                )
            case "block":
                self._block(event)
            case "measured":
                self._update(f"measuring {event['rows']} of {event['of']}", None)
            case "diverged":
                self._line(
                    f"diverged: beta {event['beta']:g}, seed {event['seed']}, step {event['step']}:"
                    f" {event['term']} is not finite"
                    + (f"; {event['data']}" if event["data"] else "")
                )
            case "chunk done":
                self._line(
                    f"chunk {event['chunk'] + 1} of {self._plan['chunks']} done: training"
                    f" {event['train_seconds']:.0f} s, measuring {event['measure_seconds']:.0f} s"
                )
            case "warning":
                click.echo(f"Warning: {event['text']}", err=True)

    def _block(self, event: Mapping[str, Any]) -> None:
        first = self._steps_before.setdefault(event["chunk"], event["steps_done"])
        speed = (event["steps_done"] - first) * event["runs"] / max(event["chunk_seconds"], 1e-9)
        total, width = self._plan["runs"] * self._plan["steps"], self._plan["width"]
        done = (event["chunk"] * width) * self._plan["steps"] + event["steps_done"] * event["runs"]
        left = f", {(total - done) / speed:.0f} s left" if speed else ""
        text = (
            f"chunk {event['chunk'] + 1}/{self._plan['chunks']}, step {event['steps_done']} of"
            f" {self._plan['steps']}, {speed:,.0f} model-steps/s"
        )
        self._update(text, done / total, left)

    def _update(self, text: str, share: float | None, left: str = "") -> None:
        if self._bar:
            total = 1.0 if share is not None else None
            self._bar.update(self._task, description=text, total=total, completed=share or 0.0)
        elif time.monotonic() - self._shown > _SECONDS_BETWEEN_LINES:
            self._line(text + left)

    def _line(self, text: str) -> None:
        self._shown = time.monotonic()
        if self._bar:
            self._bar.console.print(text, highlight=False)
        elif not self._quiet:
            click.echo(text, err=True)
