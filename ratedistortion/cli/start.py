"""Where the commands begin: any signal ends the process, with one line and a code.

It imports nothing of the package at first, and importing `ratedistortion` loads nothing else: a
signal that comes while modules are loaded would print a traceback.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable

# What schedulers, terminals and limits send; SIGHUP and others do not exist on every system.
_NAMES = "SIGINT SIGTERM SIGHUP SIGUSR1 SIGUSR2 SIGXCPU SIGQUIT SIGALRM".split()
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))

# Time from the first signal until the process is ended, in seconds: more than none once a sweep
# listens to signals itself.
seconds_to_stop = 0.0

# Held by the thread that ends the process: the main one, or the one that waits for signals.
_ending = threading.Lock()
_code = 0  # exit code of a command that has ended


def rd_sweep() -> None:
    """The command `rd-sweep`."""
    _begin()
    from ratedistortion.cli.sweep import main

    _run(main)


def rd_plot() -> None:
    """The command `rd-plot`."""
    _begin()
    from ratedistortion.cli.plot import main

    _run(main)


def rd_measure() -> None:
    """The command `rd-measure`."""
    _begin()
    from ratedistortion.cli.measure import main

    _run(main)


def _begin() -> None:
    # A file that is opened while a standard stream is closed would get the number of the stream,
    # and what XLA writes to standard error would get into that file.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    # Python calls its handlers between two instructions of the main thread, which can be minutes
    # away while XLA compiles. It writes the number of the signal into a pipe at once, and this
    # thread reads it.
    received, sent = os.pipe()
    os.set_blocking(sent, False)
    signal.set_wakeup_fd(sent, warn_on_full_buffer=False)
    for number in SIGNALS:
        # What was ignored stays so: SIGHUP under nohup, SIGINT of a script's background job.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    threading.Thread(target=_watch, args=(received,), daemon=True).start()


def _run(command: Callable[[], None]) -> None:
    global _code
    try:
        command()
    except SystemExit as end:
        _code = int(end.code or 0)
        _ending.acquire()
        raise


def _watch(received: int) -> None:
    """Waits for a signal; ends the process in time, or at once if there is a second signal."""
    while (first := os.read(received, 1)[0]) not in SIGNALS:
        pass
    end = time.monotonic() + seconds_to_stop
    while select.select([received], [], [], max(0.0, end - time.monotonic()))[0]:
        second = os.read(received, 1)[0]
        # The kernel repeats SIGXCPU every second.
        if second in SIGNALS and second != signal.SIGXCPU:
            break
    _end(first)


def _end(number: int) -> None:
    """Ends the process as it stands. Files are replaced whole or not at all, so none is damaged."""
    if not _ending.acquire(blocking=False):
        os._exit(_code)  # the command has ended already, the interpreter not yet
    code = 130 if number == signal.SIGINT else 75
    text = (
        f"stopped by {signal.Signals(number).name}; what was stored by then is kept, and the same"
        " command continues."
    )
    # The progress bar hides the cursor.
    cursor = "\n\x1b[?25h" if os.isatty(2) and not os.environ.get("NO_COLOR") else ""
    lines = {2: f"{cursor}Error: {text}\n"}
    if "--json" in sys.argv:
        lines[1] = f'{{"error": "{text}", "exit": {code}}}\n'
    for descriptor, line in lines.items():
        with contextlib.suppress(OSError):
            # A pipe that is full and that nobody reads must not hold up the end.
            if select.select([], [descriptor], [], 0)[1]:
                os.write(descriptor, line.encode())
    os._exit(code)
