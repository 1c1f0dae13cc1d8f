"""How the commands end: by signals, without standard streams, with errors as JSON."""

import json
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest
from commands import check_error, rd_plot, rd_sweep, run

from ratedistortion.cli.signals import listen
from ratedistortion.cli.start import SIGNALS

needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
COMMAND = Path(sys.executable).with_name("rd-sweep")
NAMES = "SIGINT SIGTERM SIGHUP SIGUSR1 SIGUSR2 SIGXCPU SIGQUIT SIGALRM".split()
KEPT = "what was stored by then is kept, and the same command continues."

# The command as it is installed, with another function in the place of `api.sweep`.
PROGRAM = """
import atexit, hashlib, os, runpy, signal, sys, time
from ratedistortion import api
from ratedistortion.cli import signals
from ratedistortion.errors import Stopped

def send(name):
    os.kill(os.getpid(), signal.Signals[name])

def compile():
    # C code, in which handlers of Python's do not run, for about half an hour.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)

def sweep(settings, run_dir, **options):
    {body}

api.sweep = sweep
signals._SECONDS = {seconds}
runpy.run_path({command!r}, run_name="__main__")
"""


def swept(body, *arguments, seconds=0.3, redirection=""):
    """The command with this body of `api.sweep`."""
    program = PROGRAM.format(body=body, seconds=seconds, command=str(COMMAND))
    command = shlex.join([sys.executable, "-c", program, "no-directory", *arguments])
    return run("sh", "-c", f"{command} {redirection}")


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_is_told_to_the_sweep(name):
    before = signal.getsignal(signal.Signals[name])
    with listen() as stop_signal:
        signal.raise_signal(signal.Signals[name])
        assert stop_signal() == name
    assert signal.getsignal(signal.Signals[name]) == before


def test_all_signals_of_schedulers_are_heard_on_this_system():
    assert {signal.Signals(number).name for number in SIGNALS} == set(NAMES)


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 75), ("SIGUSR1", 75)])
def test_a_compiler_that_does_not_return_is_left_after_some_seconds(name, code):
    result = swept(f"send({name!r}); compile()", "--json")
    text = f"stopped by {name}; {KEPT}"
    assert (result.returncode, result.stderr) == (code, f"Error: {text}\n")
    assert json.loads(result.stdout) == {"error": text, "exit": code}


def test_the_signal_that_the_kernel_repeats_does_not_end_a_sweep_at_once():
    """SIGXCPU comes every second once the limit of CPU time is reached."""
    body = "for _ in range(5): send('SIGXCPU'); time.sleep(0.02)\n    raise Stopped('in time')"
    result = swept(body, seconds=60)
    assert (result.returncode, result.stderr) == (75, "Error: in time\n")


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM", "SIGQUIT"])
def test_a_second_signal_ends_at_once(second):
    body = f"send('SIGTERM'); time.sleep(0.02); send({second!r}); compile()"
    result = swept(body, seconds=9999)
    assert (result.returncode, result.stderr) == (75, f"Error: stopped by SIGTERM; {KEPT}\n")


def test_a_second_signal_while_the_process_leaves_is_no_traceback():
    body = "atexit.register(lambda: (send('SIGINT'), time.sleep(9)))\n"
    body += "    send('SIGTERM'); raise Stopped('in time')"
    result = swept(body, seconds=60)
    assert (result.returncode, result.stderr) == (75, "Error: in time\n")


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 75)])
def test_a_signal_while_the_package_is_imported_is_one_line(name, code):
    program = f"""
import os, runpy, signal, sys, time

class Finder:
    def find_spec(name, *_):
        if name == "ratedistortion.api":
            os.kill(os.getpid(), signal.{name})
            time.sleep(1)

sys.meta_path.insert(0, Finder)
runpy.run_path({str(COMMAND)!r}, run_name="__main__")
"""
    result = run(sys.executable, "-c", program, "--help")
    assert (result.returncode, result.stderr) == (code, f"Error: stopped by {name}; {KEPT}\n")


@needs_full
@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", ">/dev/full 2>&1", ">&- 2>&-"])
@pytest.mark.parametrize(
    "body, code",
    [
        ("send('SIGTERM'); compile()", 75),
        ("raise Stopped('in time')", 75),
        ("raise ValueError", 1),
        ("import click; raise click.UsageError('wrong')", 2),
        ("import click; click.get_current_context().exit(3)", 3),
    ],
)
def test_exit_codes_do_not_depend_on_streams_that_can_be_written(body, code, redirection):
    assert swept(body, "--json", redirection=redirection).returncode == code


@needs_full
def test_a_finished_sweep_has_its_exit_code_where_standard_error_is_full():
    body = "import types; return types.SimpleNamespace(attrs={'summary': "
    body += "{'diverged': 1, 'runs': 2, 'suspect': 0}})"
    result = swept(body, "--json", redirection="2>/dev/full")
    assert (result.returncode, json.loads(result.stdout)["diverged"]) == (3, 1)


@needs_full
def test_results_that_cannot_be_written_are_an_error():
    result = run("sh", "-c", f"{shlex.quote(str(COMMAND))} --help >/dev/full")
    assert result.returncode == 1 and result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_no_file_of_ours_gets_the_number_of_a_standard_stream(tmp_path):
    path = tmp_path / "numbers"
    body = f"file = os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY); os.write(file, b'%d' % file)"
    swept(body, redirection="<&- >&- 2>&-")
    assert int(path.read_text()) > 2


# Errors for programs that read JSON.


def test_an_error_is_json_too_where_that_was_asked_for(tmp_path):
    (tmp_path / "file").write_text("no table")
    for command, *arguments, code in (
        (rd_sweep, tmp_path / "run", "--betas", "-1", 2),
        (rd_sweep, tmp_path, 4),
        (rd_sweep, "--no-option", 2),
        (rd_sweep, tmp_path / "run", "--dataset", tmp_path / "none.npz", 7),
        (rd_plot, tmp_path / "file", 2),
        (rd_plot, 2),
    ):
        result = command(*arguments, "--json")
        values = json.loads(result.stdout)
        assert (values["exit"], result.exit_code) == (code, code), result.stderr
        assert result.stderr == f"Error: {values['error']}\n"
        check_error(command(*arguments), code)
