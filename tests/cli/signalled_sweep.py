"""rd-sweep that is sent a signal at its n-th event of a kind, with a checkpoint after every block.

Usage: python signalled_sweep.py SIGNAL EVENT COUNT RUN_DIR [options]
"""

import os
import signal
import sys

from ratedistortion.cli.sweep import main
from ratedistortion.progress import Progress
from ratedistortion.sweeping import sweep as job

name, kind, count, *arguments = sys.argv[1:]
counts: dict[str, int] = {}
report = Progress.report


def report_and_signal(self, event) -> None:
    report(self, event)
    name_of_event = type(event).__name__
    counts[name_of_event] = counts.get(name_of_event, 0) + 1
    if name_of_event == kind and counts[kind] == int(count):
        os.kill(os.getpid(), signal.Signals[name])


Progress.report = report_and_signal
job._CHECKPOINT_SECONDS = 0.0
main(arguments, prog_name="rd-sweep")
