"""Calls the commands, and checks how they fail."""

import subprocess

from click.testing import CliRunner

from ratedistortion.cli.measure import main as measure
from ratedistortion.cli.plot import main as plot
from ratedistortion.cli.sweep import main as sweep

SMALL = ("--max-examples", "200", "--hidden", "8", "--latents", "2")
STEPS, BETAS = 1000, (0.05, 0.5, 2.0, 8.0)
# Two chunks of two runs; long enough that a run has many blocks, short enough to repeat.
SWEEP = (*SMALL, "--steps", str(STEPS), "--learning-rate", "0.01", "--betas", "0.05,0.5,2,8")
SWEEP += ("--runs-at-once", "2", "--save-posteriors")


def rd_sweep(*arguments):
    """The command in this process."""
    return CliRunner().invoke(sweep, [str(part) for part in arguments], prog_name="rd-sweep")


def rd_plot(*arguments):
    """The command in this process."""
    return CliRunner().invoke(plot, [str(part) for part in arguments], prog_name="rd-plot")


def rd_measure(*arguments):
    """The command in this process."""
    return CliRunner().invoke(measure, [str(part) for part in arguments], prog_name="rd-measure")


def run(*command, environment=None):
    """A command in a process of its own."""
    command = [str(part) for part in command]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)


def check_error(result, code, *words):
    """One line on stderr, behind at most that of the data; nothing on stdout, no traceback."""
    *before, line = result.stderr.splitlines()
    assert line.startswith("Error: ") and result.stderr.endswith("\n"), result.stderr
    assert len(before) == 0 or (len(before) == 1 and " images of " in before[0]), result.stderr
    assert [word for word in words if word not in line] == [], result.stderr
    assert result.stdout == "" and result.exit_code == code


def check_message(result, code, text):
    """The same, with this text alone."""
    check_error(result, code, f"Error: {text}")


def tree(folder):
    """Everything in a folder: path, time of change and content."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }
