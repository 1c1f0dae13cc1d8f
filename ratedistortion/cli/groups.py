"""Help with the options in groups."""

from collections.abc import Callable
from typing import Any

import click

from ratedistortion.cli.errors import Command


class GroupedOption(click.Option):
    """An option that is listed under the heading `group`."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(Command):
    """A command whose help has one list for each group of options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", "Other"), []).append(record)
        groups["Other"] = groups.pop("Other")  # last
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)


def option(group: str, *names: str, **attributes: Any) -> Callable[[Any], Any]:
    """A click option listed under `group`.

    Args:
        group: The heading in the help.
        names: As `click.option` takes them.
        attributes: As `click.option` takes them.

    Returns:
        A decorator for the function of a command.
    """
    return click.option(*names, cls=GroupedOption, group=group, **attributes)
