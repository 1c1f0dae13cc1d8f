"""`rd-measure`: posteriors that any program exported -> one call of `ratedistortion.measure`."""

import json
from pathlib import Path
from typing import Any

import click

from ratedistortion import __version__, api
from ratedistortion.cli.errors import Command, tell
from ratedistortion.cli.process import set_up_process
from ratedistortion.cli.results import results
from ratedistortion.text import printable

_EPILOG = """\b
Examples:
  rd-measure encoder.npz -o encoder.parquet --prior standard
  rd-measure beta=0.5.npz beta=2.npz -o runs/torch --prior standard --dataset mnist
  rd-plot runs/torch runs/ours -o both.png

\b
Exit codes: 0 done; 2 usage, or arrays that cannot be used; 4 a file of
--save-posteriors is damaged; 8 done, but some numbers contradict each other
(status suspect); 1 anything else."""


@click.command(
    cls=Command,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument(
    "exported", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    metavar="TABLE",
    type=click.Path(path_type=Path),
    help="Where the table is written: a name that ends in .parquet, or a folder for rd.parquet.",
)
@click.option(
    "--prior", metavar="standard", help="Says that p(z) is N(0, I), where no array says what it is."
)
@click.option("--beta", type=float, help="Weight of the rate in training.")
@click.option("--seed", type=int, help="Seed of training.")
@click.option(
    "--split",
    type=click.Choice(["train", "test"]),
    help="Split that the images are of.  [default: test]",
)
@click.option("--label", help="Name of the curve.")
@click.option("--dataset", metavar="NAME", help="Data set, for titles.")
@click.option("--dimensions", type=int, help="Dimensions of x, for bits per dimension.")
@click.option(
    "--likelihood",
    metavar="NAME",
    help="bernoulli or gaussian: by it, D is computed from data and reconstruction.",
)
@click.option(
    "--likelihood-scale", type=float, help="Standard deviation of the gaussian likelihood."
)
@click.option(
    "--codes",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Codes that I(n;z) is averaged over; each is compared with all N posteriors.",
)
@click.option(
    "--draw-seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the noise, where none was exported, and of the choice of codes.",
)
@click.option(
    "--units",
    type=click.Choice(["nats", "bits", "bits-per-dim"]),
    default="nats",
    help="Units of the printed table; the stored one is in nats.  [default: nats]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as one JSON object.")
@click.version_option(__version__, prog_name="rd-measure")
@click.pass_context
def main(
    context: click.Context,
    exported: tuple[Path, ...],
    output: Path | None,
    codes: int,
    draw_seed: int,
    units: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Measure posteriors that any program exported: R, D, I(n;z), marginal KL, bounds, errors.

    FILE is an .npz, or a folder with one .npy for each array. It has mean and scale of the
    posteriors of N images, or log_q, the log density of every code under every posterior; the guide
    of the commands lists all names. Many FILEs are many rows. Nothing is trained.
    """
    set_up_process(deterministic=False)
    frame = api.measure(*exported, output=output, codes=codes, draw_seed=draw_seed, **given)
    if unused := frame.attrs["ratedistortion"]["measured"]["unused"]:
        tell(printable(f"not used: {', '.join(unused)}"))
    suspect = frame.loc[frame["status"] == "suspect"].to_dict("records")
    if as_json:
        rows = json.loads(str(frame.to_json(orient="records", double_precision=15)))
        click.echo(json.dumps({"rows": rows, "suspect": len(suspect)}))
    else:
        for split in frame["split"].unique():
            click.echo(results(frame, units, split))
        if output is not None:
            click.echo(f"table: {frame.attrs['path']}")
    for row in suspect:
        names = (
            f"{name} {row[name]}" for name in ("label", "beta", "split") if row[name] == row[name]
        )
        tell(printable(f"Suspect: {', '.join(names)}: {row['failed_checks']}."))
    context.exit(8 if suspect else 0)
