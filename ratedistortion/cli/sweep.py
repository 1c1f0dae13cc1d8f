"""`rd-sweep`: options -> one call of `ratedistortion.sweep`."""

import gc
import json
from pathlib import Path
from typing import Any

import click

from ratedistortion import __version__, api
from ratedistortion.cli.groups import GroupedCommand, option
from ratedistortion.cli.options import settings_options
from ratedistortion.errors import SettingsError
from ratedistortion.settings import ENGINE_FIELDS, Settings, from_mapping, read_config
from ratedistortion.table.units import UNITS

# Python's collector looks at new objects when there are so many; 700 by itself.
_OBJECTS = 100_000

_EPILOG = """\b
Examples:
  rd-sweep --verify
  rd-sweep runs/digits
  rd-sweep runs/mnist --dataset binarized_mnist --betas 0.01:10:log32 --seeds 3
  rd-plot  runs/mnist -o mnist.pdf --units bits

\b
Exit codes: 0 done; 2 usage; 3 finished, but some runs diverged; 4 run directory
damaged or from another configuration; 5 locked by another process; 6 not even
one run fits in memory; 7 data set; 8 finished, but some numbers contradict each
other (status suspect); 75 stopped by a signal with a checkpoint, run again to
continue; 130 Ctrl-C; 1 anything else."""


def _verify(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Like --version: does its own work and exits, whatever else is given."""
    if not asked:
        return
    from ratedistortion.cli.progress import Progress
    from ratedistortion.cli.results import checks
    from ratedistortion.verify import environment, verify

    click.echo(environment())
    with Progress(quiet=False) as progress:
        done = list(verify(progress.report))
    click.echo(checks(done))
    context.exit(0 if all(check.passed for check in done) else 1)


@click.command(
    cls=GroupedCommand,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@settings_options
@option(
    "Other",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.toml",
    help="Settings by the names of the options, which override them.",
)
@option(
    "Other",
    "--verify",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_verify,
    help="Check this machine against known truths, in about a minute; needs no RUN_DIR.",
)
@option("Other", "--dry-run", is_flag=True, help="Print the plan and compute nothing.")
@option(
    "Other",
    "--units",
    type=click.Choice(list(UNITS)),
    default="nats",
    help="Of the printed table; the stored one is in nats.  [default: nats]",
)
@option("Other", "--json", "as_json", is_flag=True, help="Print one JSON object, not a table.")
@option("Other", "--quiet", is_flag=True, help="No progress on standard error.")
@click.version_option(__version__, prog_name="rd-sweep")
@click.pass_context
def main(
    context: click.Context,
    run_dir: Path,
    config: Path | None,
    dry_run: bool,
    units: str,
    as_json: bool,
    quiet: bool,
    **_: Any,
) -> None:
    """Train a beta-VAE at every beta, and measure rate, distortion and mutual information.

    All runs are one compiled job. RUN_DIR/rd.parquet gets R, D and the index-code mutual
    information I(n;z) of every model, with error bars and bounds, in nats per image. The same
    command on the same RUN_DIR continues it; RUN_DIR alone continues it with its own settings.
    """
    # What imports and traces make lasts: looking through it for garbage takes 5% of the start.
    gc.set_threshold(_OBJECTS)
    settings = _settings(context, config, run_dir)
    from ratedistortion.cli.progress import Progress

    if dry_run:
        with Progress(quiet) as progress:
            plan = api.dry_run(settings, run_dir, progress.report)
        lines = [f"{name:>16}  {value}" for name, value in plan.items()]
        click.echo(json.dumps(plan) if as_json else "\n".join(lines))
        return
    from ratedistortion.cli.signals import listen

    with listen() as stop_signal, Progress(quiet) as progress:
        frame = api.sweep(settings, run_dir, progress.report, stop_signal)
    summary = frame.attrs["summary"]
    if as_json:
        click.echo(json.dumps(summary))
    else:
        from ratedistortion.cli.results import results

        click.echo(results(frame, units))
        click.echo(f"table: {summary['table']}")
    if summary["diverged"]:
        click.echo(f"{summary['diverged']} of {summary['runs']} runs diverged.", err=True)
    if summary["suspect"]:
        from ratedistortion.cli.results import suspects

        click.echo(suspects(frame), err=True)
    # A number that misleads is worse than one that is missing.
    context.exit(8 if summary["suspect"] else 3 if summary["diverged"] else 0)


def _settings(context: click.Context, config: Path | None, run_dir: Path) -> Settings | None:
    """The options that were given, over the configuration file; None if there are neither.

    Options that say how to compute, not what, are laid over the settings of a directory.
    """
    own = {"run_dir", "config", "dry_run", "units", "as_json", "quiet"}
    given = {
        name: value
        for name, value in context.params.items()
        if name not in own
        and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    if given and not config and given.keys() <= set(ENGINE_FIELDS):
        from ratedistortion.run_directory.reading import read_manifest

        stored = (read_manifest(run_dir) or {}).get("settings")
        if isinstance(stored, dict):
            return from_mapping({**stored, **given}, "options")
    values = read_config(config) if config else {}
    # A length of training or a grid as an option replaces the file's, whichever name each has.
    for names in ({"epochs", "steps"}, {"betas", "target_rates"}):
        if given.keys() & names:
            values = {name: value for name, value in values.items() if name not in names}
    values |= given
    if {"betas", "target_rates"} <= values.keys():
        raise SettingsError("betas and target_rates exclude each other: give one of them.")
    return from_mapping(values, str(config) if config else "options") if values else None
