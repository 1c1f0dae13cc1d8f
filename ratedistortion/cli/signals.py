"""Signals that end a sweep after a checkpoint, not in the middle of one."""

import contextlib
import signal
from collections.abc import Callable, Iterator

from ratedistortion.cli import start
from ratedistortion.cli.start import SIGNALS

# Time that a sweep has from the first signal until the process is ended, in seconds. Schedulers
# often give ten.
_SECONDS = 8.0


@contextlib.contextmanager
def listen() -> Iterator[Callable[[], str | None]]:
    """Catches the first signal that asks the process to end; a second one acts at once.

    In the commands the first one too ends the process after 8 seconds, with or without a new
    checkpoint: a program of XLA's that compiles or runs cannot be interrupted.

    Yields:
        A function that returns the name of the signal that came, None while none has.
    """
    caught: list[str] = []
    # What was ignored stays so: SIGHUP under nohup, SIGINT of a script's background job.
    before = {n: old for n in SIGNALS if (old := signal.getsignal(n)) != signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def catch(number: int, _: object) -> None:
        caught.append(signal.Signals(number).name)
        restore()

    for number in before:
        signal.signal(number, catch)
    start.seconds_to_stop = _SECONDS
    try:
        yield lambda: caught[0] if caught else None
    finally:
        restore()
