"""Signals that end a sweep after a checkpoint, not in the middle of one."""

import contextlib
import signal
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def listen() -> Iterator[Callable[[], str | None]]:
    """Catches the first SIGINT, SIGTERM or SIGHUP; a second one acts at once.

    Yields:
        A function that returns the name of the signal that came, None while none has.
    """
    caught: list[str] = []
    # What was ignored stays so: SIGHUP under nohup, SIGINT of a script's background job.
    before = {n: old for n in _SIGNALS if (old := signal.getsignal(n)) != signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def catch(number: int, _: object) -> None:
        caught.append(signal.Signals(number).name)
        restore()

    for number in before:
        signal.signal(number, catch)
    try:
        yield lambda: caught[0] if caught else None
    finally:
        restore()
