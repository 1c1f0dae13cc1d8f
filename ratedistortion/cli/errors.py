"""What a command says and how it exits when something goes wrong: one line, no traceback."""

import os
import sys
import traceback
from typing import Any

import click

from ratedistortion.errors import RateDistortionError
from ratedistortion.text import printable


class Command(click.Command):
    """A command that turns every error into a line `Error: TEXT` on stderr and an exit code.

    A `RateDistortionError` exits with its own code, wrong usage with 2, Ctrl-C with 130, anything
    else with 1. `RATEDISTORTION_DEBUG=1` in the environment adds the traceback.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Runs the command, and in standalone mode exits.

        Args:
            args: As `click.Command.main` takes them, the words of the command line first.
            standalone_mode: Whether errors become a line and an exit code; if not, they are raised.
            extra: As `click.Command.main` takes it.

        Returns:
            What the command returned; only where it is not standalone.
        """
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        try:
            # Outside of standalone mode Click hands over its own errors too, and returns the code
            # of `Context.exit`.
            code = super().main(*args, standalone_mode=False, **extra)
        except RateDistortionError as error:
            _fail(str(error), error.exit_code)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted.", 130)
        except BrokenPipeError:
            # Whoever read stdout, such as `head`, has left; the flush at exit must not complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            _fail(f"{type(error).__name__}: {error}", 1)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int) -> None:
    if os.environ.get("RATEDISTORTION_DEBUG"):
        traceback.print_exc()
    click.echo(f"Error: {printable(text)}", err=True)
    sys.exit(code)
