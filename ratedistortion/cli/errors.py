"""What a command says and how it exits when something goes wrong: one line, no traceback."""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from ratedistortion.errors import RateDistortionError
from ratedistortion.text import printable


class Command(click.Command):
    """A command that turns every error into a line `Error: TEXT` on stderr and an exit code.

    A `RateDistortionError` exits with its own code, wrong usage with 2, Ctrl-C with 130, anything
    else with 1. With `--json` stdout gets an object with the text and the code.
    `RATEDISTORTION_DEBUG=1` in the environment adds the traceback.
    """

    def main(
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Runs the command, and in standalone mode exits.

        Args:
            args: The words of the command line; None for those of the process.
            standalone_mode: Whether errors become a line and an exit code; if not, they are raised.
            extra: As `click.Command.main` takes it.

        Returns:
            What the command returned; only where it is not standalone.
        """
        words = sys.argv[1:] if args is None else list(args)
        if not standalone_mode:
            return super().main(words, standalone_mode=False, **extra)
        try:
            # Outside of standalone mode Click hands over its own errors too, and returns the code
            # of `Context.exit`.
            code = super().main(words, standalone_mode=False, **extra)
        except RateDistortionError as error:
            _fail(words, str(error), error.exit_code)
        except click.ClickException as error:
            _fail(words, error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            _fail(words, "interrupted.", 130)
        except BrokenPipeError:
            _leave(1)  # whoever read stdout, such as `head`, has left
        except Exception as error:
            _fail(words, f"{type(error).__name__}: {error}", 1)
        _leave(code if isinstance(code, int) else 0)


def tell(text: str) -> None:
    """Prints a line on standard error; how a command ends does not depend on whether it can.

    Args:
        text: Without the newline.
    """
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _fail(words: list[str], text: str, code: int) -> NoReturn:
    text = printable(text)
    if os.environ.get("RATEDISTORTION_DEBUG"):
        tell(traceback.format_exc().rstrip())
    # Read from the words, because an error may be that these cannot be parsed.
    if "--json" in words:
        with contextlib.suppress(OSError):
            click.echo(json.dumps({"error": text, "exit": code}))
    tell(f"Error: {text}")
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Exits; what a stream could not take is dropped, because Python would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:  # was closed from the start
            continue
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
