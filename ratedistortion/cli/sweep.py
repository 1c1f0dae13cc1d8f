"""`rd-sweep`: options -> one call of `ratedistortion.sweep`."""

import json
from pathlib import Path
from typing import Any

import click

from ratedistortion import __version__, api
from ratedistortion.cli.groups import GroupedCommand, option
from ratedistortion.models.decoders import DECODERS
from ratedistortion.models.encoders import ENCODERS
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.models.priors import PRIORS
from ratedistortion.settings import (
    BATCHING,
    BINARIZE,
    DEVICES,
    PRECISIONS,
    Settings,
    from_mapping,
    read_config,
)
from ratedistortion.units import UNITS

_EPILOG = """\b
Examples:
  rd-sweep --verify
  rd-sweep runs/digits
  rd-sweep runs/mnist --dataset binarized_mnist --betas 0.01:10:log32 --seeds 3
  rd-plot  runs/mnist -o mnist.pdf --units bits

\b
Exit codes: 0 done; 2 usage; 3 finished, but some runs diverged; 4 run directory
damaged or from another configuration; 5 locked by another process; 6 not even
one run fits in memory; 7 data set; 75 stopped by a signal with a checkpoint,
run again to continue; 130 Ctrl-C; 1 anything else."""


def _verify(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Like --version: does its own work and exits, whatever else is given."""
    if not asked:
        return
    from ratedistortion.cli.progress import Progress
    from ratedistortion.cli.results import checks
    from ratedistortion.verify import verify

    with Progress(quiet=False) as progress:
        done = verify(progress.report)
    click.echo(checks(done))
    context.exit(0 if all(check.passed for check in done) else 1)


def _choice(names: Any) -> click.Choice:
    return click.Choice(list(names))


@click.command(
    cls=GroupedCommand,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@option(
    "Data",
    "--dataset",
    metavar="NAME_OR_PATH",
    help="digits (embedded), a TFDS name, an .npz or .npy file, a folder of idx files,"
    " gaussian:V1,V2,..., bernoulli:P,DIMENSIONS or patterns:K,DIMENSIONS,FLIP."
    "  [default: digits, with --binarize dynamic]",
)
@option(
    "Data",
    "--data-dir",
    metavar="DIR",
    help="Where prepared TFDS sets are.  [default: $TFDS_DATA_DIR or ~/tensorflow_datasets]",
)
@option("Data", "--download", is_flag=True, help="Let TFDS download and prepare a missing set.")
@option(
    "Data",
    "--binarize",
    type=_choice(BINARIZE),
    help="static draws every pixel once, dynamic afresh at every step.  [default: none]",
)
@option("Data", "--max-examples", type=int, metavar="COUNT", help="Use the first COUNT images.")
@option(
    "Grid",
    "--betas",
    metavar="GRID",
    help="Weights of the rate in the loss D + beta R: 0.1,1,4 or 0.01:10:log16 or 0:4:lin5"
    " or @FILE.  [default: 0.01:10:log12]",
)
@option("Grid", "--seeds", type=int, metavar="COUNT", help="Runs per beta.  [default: 1]")
@option("Model", "--encoder", type=_choice(ENCODERS), help="Family of q(z|x).  [default: mlp]")
@option("Model", "--decoder", type=_choice(DECODERS), help="Family of p(x|z).  [default: mlp]")
@option("Model", "--prior", type=_choice(PRIORS), help="Family of p(z).  [default: standard]")
@option(
    "Model",
    "--likelihood",
    type=_choice(LIKELIHOODS),
    help="Distribution of x given the decoder's output.  [default: bernoulli]",
)
@option(
    "Model",
    "--likelihood-scale",
    type=float,
    metavar="SCALE",
    help="Standard deviation of the gaussian likelihood.  [default: 1]",
)
@option("Model", "--latents", type=int, metavar="COUNT", help="Dimensions of z.  [default: 32]")
@option("Model", "--hidden", metavar="WIDTHS", help="Dense layers.  [default: 256,256]")
@option("Model", "--channels", metavar="COUNTS", help="Convolutions.  [default: 32,64]")
@option("Model", "--strides", metavar="STEPS", help="Of the convolutions.  [default: 2,2]")
@option(
    "Model",
    "--components",
    type=int,
    metavar="COUNT",
    help="Of the mixture and vamp priors.  [default: 100]",
)
@option(
    "Model",
    "--levels",
    type=int,
    metavar="COUNT",
    help="Values of a pixel that the categorical likelihood tells apart.  [default: 256]",
)
@option(
    "Training",
    "--epochs",
    type=int,
    metavar="COUNT",
    help="Passes over the data.  [default: 20, digits 100]",
)
@option("Training", "--steps", type=int, metavar="COUNT", help="Steps, instead of --epochs.")
@option(
    "Training", "--batch-size", type=int, metavar="COUNT", help="Images a step.  [default: 100]"
)
@option(
    "Training",
    "--learning-rate",
    type=float,
    metavar="RATE",
    help="Of Adam at the start; it falls to zero along a cosine.  [default: 0.002]",
)
@option(
    "Training",
    "--warmup",
    type=int,
    metavar="STEPS",
    help="Steps over which beta rises linearly from 0.  [default: 0]",
)
@option(
    "Measuring",
    "--codes",
    type=int,
    metavar="COUNT",
    help="Monte Carlo draws per split, each held against all N posteriors.  [default: 10000]",
)
@option(
    "Measuring",
    "--iwae",
    type=int,
    metavar="K",
    help="Also bound -log p(x) with K importance samples of as many images.  [default: 0, off]",
)
@option(
    "Measuring",
    "--save-posteriors",
    is_flag=True,
    help="Keep mean, scale and code of every image, and the data, in RUN_DIR/posteriors.",
)
@option("Engine", "--device", type=_choice(DEVICES), help="Where to compute.  [default: auto]")
@option(
    "Engine",
    "--batching",
    type=_choice(BATCHING),
    help="vmap: the runs of a device at once; map: one after another.  [default: auto]",
)
@option("Engine", "--runs-at-once", metavar="auto|K", help="Runs in a chunk.  [default: auto]")
@option(
    "Engine",
    "--precision",
    type=_choice(PRECISIONS),
    help="Of matrix products in training; measuring is exact.  [default: default]",
)
@option(
    "Engine",
    "--deterministic",
    is_flag=True,
    help="The same bits from the same command on a GPU too, where it can be slower.",
)
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
    type=_choice(UNITS),
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
    settings = _settings(context, config)
    if dry_run:
        plan = api.dry_run(settings, run_dir)
        lines = [f"{name:>16}  {value}" for name, value in plan.items()]
        click.echo(json.dumps(plan) if as_json else "\n".join(lines))
        return
    from ratedistortion.cli.progress import Progress
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
        context.exit(3)


def _settings(context: click.Context, config: Path | None) -> Settings | None:
    """The options that were given, over the configuration file; None if there are neither."""
    own = {"run_dir", "config", "dry_run", "units", "as_json", "quiet"}
    given = {
        name: value
        for name, value in context.params.items()
        if name not in own
        and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    values = read_config(config) if config else {}
    # A length of training given as an option replaces the file's, whichever name each has.
    if given.keys() & {"epochs", "steps"}:
        values = {name: value for name, value in values.items() if name not in ("epochs", "steps")}
    values |= given
    return from_mapping(values, str(config) if config else "options") if values else None
