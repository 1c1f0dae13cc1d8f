"""The options of `rd-sweep` that are settings, from the table of settings."""

from collections.abc import Callable
from typing import Any

import click

from ratedistortion.cli.groups import option
from ratedistortion.models.families import FAMILIES
from ratedistortion.settings.fields import Choice, Flag
from ratedistortion.settings.settings import FIELDS


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for every setting, in the order of the table.

    Args:
        command: The function under `click.command`, which gets the settings by keyword.

    Returns:
        The same function, with the options that Click reads from it.
    """
    for name, field in reversed(FIELDS.items()):
        choices = field.kind.choices if isinstance(field.kind, Choice) else FAMILIES.get(name)
        command = option(
            field.group,
            "--" + name.replace("_", "-"),
            type=click.Choice(list(choices)) if choices else field.kind.shell_type,
            # Not False: Click would then take a value such as -1 for another option.
            is_flag=isinstance(field.kind, Flag) or None,
            metavar=field.metavar or None,
            help=field.help + f"  [default: {field.shown}]" * bool(field.shown),
        )(command)
    return command
