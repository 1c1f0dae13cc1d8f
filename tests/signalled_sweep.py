"""rd-sweep that is sent a signal at its n-th event of a kind, with a checkpoint after every block.

Usage: python signalled_sweep.py SIGNAL EVENT COUNT RUN_DIR [options]
"""

import itertools
import signal
import sys
from collections.abc import Callable

from ratedistortion.cli.sweep import main
from ratedistortion.progress import Progress
from ratedistortion.sweeping import chunks as job


def signalling(name: str, kind: str, count: int) -> Callable[..., None]:
    """A stand-in for `Progress.report` that sends the signal to its own process."""
    report, counter = Progress.report, itertools.count(1)

    def report_and_signal(self, event) -> None:
        report(self, event)
        if type(event).__name__ == kind and next(counter) == count:
            signal.raise_signal(signal.Signals[name])

    return report_and_signal


if __name__ == "__main__":
    name, kind, count, *arguments = sys.argv[1:]
    Progress.report = signalling(name, kind, int(count))
    job._CHECKPOINT_SECONDS = 0.0
    main(arguments, prog_name="rd-sweep")
