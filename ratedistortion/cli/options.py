"""The options of `rd-sweep` that are settings, from the table of settings, and help in groups."""

from collections.abc import Callable
from typing import Any

import click

from ratedistortion.cli.errors import Command
from ratedistortion.models.families import FAMILIES
from ratedistortion.settings import code
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


class _Member(click.Choice):
    """A name of ours, or what the settings take for code of the user's own."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        names = super().get_metavar(param, ctx)
        return names and f"{names[:-1]}|FILE.py:NAME]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        own = code.is_own(value) or value.endswith(".py")
        return value if own else super().convert(value, param, ctx)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for every setting, in the order of the table.

    Args:
        command: The function under `click.command`, which gets the settings by keyword.

    Returns:
        The same function, with the options that Click reads from it.
    """
    for name, field in reversed(FIELDS.items()):
        kind: Any = field.kind.shell_type
        if isinstance(field.kind, Choice):
            kind = click.Choice(field.kind.choices)
        elif name in FAMILIES:
            kind = _Member(list(FAMILIES[name]))
        command = click.option(
            "--" + name.replace("_", "-"),
            type=kind,
            # Not False: Click would then take a value such as -1 for another option.
            is_flag=isinstance(field.kind, Flag) or None,
            metavar=field.metavar or None,
            help=field.help + f"  [default: {field.shown}]" * bool(field.shown),
        )(command)
    return command
