"""`rd-sweep`: options -> one call of `ratedistortion.sweep`."""

import json
from pathlib import Path
from typing import Any

import click

from ratedistortion import __version__, api
from ratedistortion.cli.errors import tell
from ratedistortion.cli.options import GroupedCommand, settings_options
from ratedistortion.cli.process import set_up_process
from ratedistortion.cli.results import checks, results, suspects
from ratedistortion.cli.signals import listen
from ratedistortion.errors import SettingsError
from ratedistortion.progress import Progress
from ratedistortion.settings import Settings, from_mapping, in_todays_terms, read_config
from ratedistortion.settings.settings import FIELDS
from ratedistortion.table.units import UNITS

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
other (status suspect); 75 stopped by a signal, run again to continue; 130
Ctrl-C; 1 anything else."""


def _verify(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Like --version: does its own work and exits, whatever else is given."""
    if not asked:
        return
    from ratedistortion.verify import environment, verify

    set_up_process(deterministic=False)
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
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.toml",
    help="Settings by the names of the options, which override them.",
)
@click.option(
    "--verify",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_verify,
    help="Check this machine against known truths, in about a minute; needs no RUN_DIR.",
)
@click.option(
    "--extend", is_flag=True, help="Add the given betas, target rates and seeds to RUN_DIR."
)
@click.option(
    "--remeasure",
    is_flag=True,
    help="Measure the kept models again with other --codes, --iwae or --save-posteriors; train"
    " nothing.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and compute nothing.")
@click.option(
    "--units",
    type=click.Choice(list(UNITS)),
    default="nats",
    help="Of the printed table; the stored one is in nats.  [default: nats]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, not a table.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@click.version_option(__version__, prog_name="rd-sweep")
@click.pass_context
def main(
    context: click.Context,
    run_dir: Path,
    config: Path | None,
    extend: bool,
    remeasure: bool,
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
    settings = _settings(context, config, run_dir)
    stored = settings.as_json() if settings else _stored(run_dir)
    set_up_process(deterministic=stored.get("deterministic") is True)
    if dry_run:
        with Progress(quiet) as progress:
            plan = api.dry_run(settings, run_dir, progress.report, extend, remeasure)
        lines = [f"{name:>16}  {value}" for name, value in plan.items()]
        click.echo(json.dumps(plan) if as_json else "\n".join(lines))
        return
    with listen() as stop_signal:
        frame = api.sweep(
            settings,
            run_dir,
            stop_signal=stop_signal,
            progress=not quiet,
            extend=extend,
            remeasure=remeasure,
        )
    summary = frame.attrs["summary"]
    if as_json:
        click.echo(json.dumps(summary))
    else:
        click.echo(results(frame, units))
        click.echo(f"table: {summary['table']}")
    if summary["diverged"]:
        tell(f"{summary['diverged']} of {summary['runs']} runs diverged.")
    if summary["suspect"]:
        tell(suspects(frame))
    # A number that misleads is worse than one that is missing.
    context.exit(8 if summary["suspect"] else 3 if summary["diverged"] else 0)


def _settings(context: click.Context, config: Path | None, run_dir: Path) -> Settings | None:
    """The options that were given, over the configuration file; None if there are neither.

    Options without a file are laid over the settings of a directory that exists, so that what was
    not typed is not compared with them.
    """
    default = click.core.ParameterSource.DEFAULT
    given = {
        name: value
        for name, value in context.params.items()
        if name in FIELDS and context.get_parameter_source(name) is not default
    }
    values = read_config(config) if config else {}
    if given and not config:
        values = _stored(run_dir)
    # A length of training or a grid as an option replaces the file's, whichever name each has.
    for names in ({"epochs", "steps"}, {"betas", "target_rates"}):
        if given.keys() & names:
            values = {name: value for name, value in values.items() if name not in names}
    grids = {"betas", "target_rates"}
    if grids <= given.keys() or (config and grids <= values.keys()):
        raise SettingsError("betas and target_rates exclude each other: give one of them.")
    values |= given
    return from_mapping(values, str(config) if config else "options") if values else None


def _stored(run_dir: Path) -> dict[str, Any]:
    """The settings that a run directory has, as they are stored; none if there is none yet."""
    from ratedistortion.run_directory.reading import read_manifest

    return in_todays_terms(dict((read_manifest(run_dir) or {}).get("settings", {})))
