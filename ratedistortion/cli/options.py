"""The options of `rd-sweep` that are settings, from the table of settings, and help in groups."""

from collections.abc import Callable
from typing import Any

import click

from ratedistortion.cli.errors import Command
from ratedistortion.models.families import FAMILIES
from ratedistortion.settings.fields import Choice, Flag
from ratedistortion.settings.settings import FIELDS


class GroupedCommand(Command):
    """A command whose help has one list for each group of settings, and one for other options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the groups, in the order of the table of settings.

        Args:
            ctx: Of the command.
            formatter: What the help is written to.
        """
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                field = FIELDS.get(parameter.name or "")
                groups.setdefault(field.group if field else "Other", []).append(record)
        groups["Other"] = groups.pop("Other")  # last
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for every setting, in the order of the table.

    Args:
        command: The function under `click.command`, which gets the settings by keyword.

    Returns:
        The same function, with the options that Click reads from it.
    """
    for name, field in reversed(FIELDS.items()):
        choices = field.kind.choices if isinstance(field.kind, Choice) else FAMILIES.get(name)
        command = click.option(
            "--" + name.replace("_", "-"),
            type=click.Choice(list(choices)) if choices else field.kind.shell_type,
            # Not False: Click would then take a value such as -1 for another option.
            is_flag=isinstance(field.kind, Flag) or None,
            metavar=field.metavar or None,
            help=field.help + f"  [default: {field.shown}]" * bool(field.shown),
        )(command)
    return command
