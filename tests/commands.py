"""Calls a command in this process, and checks how it fails."""

from click.testing import CliRunner


def invoke(command, *arguments, name=None):
    given = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, given, prog_name=name)


def check_error(result, code, text):
    """One line on stderr, nothing else, no traceback."""
    assert result.stderr == f"Error: {text}\n"
    assert result.stdout == ""
    assert result.exit_code == code
