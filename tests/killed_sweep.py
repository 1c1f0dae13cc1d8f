"""A sweep of two chunks that tells a file of its events, and is killed by one of them.

Usage: python killed_sweep.py RUN_DIR FILE
"""

import os
import pickle
import signal
import sys

from tiny_engine import settings_of

import ratedistortion as rd
from ratedistortion import events

SETTINGS = settings_of(betas=(0.1, 0.5, 1.0, 2.0), runs_at_once=2)


def main(run_dir: str, file: str) -> None:
    """Ends itself with SIGKILL when the second chunk has told of the third of its four rows."""
    with open(file, "wb") as told:

        def listen(event: events.Event) -> None:
            pickle.dump(event, told)
            told.flush()
            if isinstance(event, events.Measured) and (event.chunk, event.rows) == (1, 3):
                os.kill(os.getpid(), signal.SIGKILL)

        rd.sweep(SETTINGS, run_dir, listen, progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
