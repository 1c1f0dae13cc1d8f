"""`rd-plot`: tables of sweeps in, a figure or a summary out."""

import json
from pathlib import Path

import click

from ratedistortion import __version__
from ratedistortion.api import read
from ratedistortion.cli.errors import Command, tell
from ratedistortion.errors import SettingsError
from ratedistortion.figures import DISTORTIONS, FIGURES, check_suffix, data_figure, figure, save
from ratedistortion.table.units import UNITS


@click.command(
    cls=Command, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The figure: a name that ends in .png, .pdf or .svg.  [default: RUN/KIND.png, where RUN "
    "is one run directory; no figure with --summary]",
)
@click.option(
    "--kind", type=click.Choice([*FIGURES, "data"]), default="rate-distortion", help="What to draw."
)
@click.option("--units", type=click.Choice(UNITS), default="nats", help="Units of R and D.")
@click.option(
    "--distortion",
    type=click.Choice(DISTORTIONS),
    default="nll",
    help="mse: the squared error of Gaussian models instead of D.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "test"]),
    default="test",
    help="The images that the numbers are measured on.",
)
@click.option(
    "--summary",
    is_flag=True,
    help="Print what each curve says: slopes against -beta, regimes, the best -ELBO; of two RUNs, "
    "how the second compares with the first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.option(
    "--target-rate",
    metavar="R",
    type=float,
    help="In the summary: beta and D where a curve passes this R, in --units.",
)
@click.option(
    "--target-distortion",
    metavar="D",
    type=float,
    help="In the summary: beta and R where a curve passes this D, in --units.",
)
@click.version_option(__version__)
def main(
    runs: tuple[Path, ...],
    output: Path | None,
    kind: str,
    units: str,
    distortion: str,
    split: str,
    summary: bool,
    as_json: bool,
    target_rate: float | None,
    target_distortion: float | None,
) -> None:
    """Draw the table of each RUN, several on one plot, or print what it says.

    RUN is a run directory of rd-sweep or a Parquet table. The same tables give the same bytes.
    """
    summary = summary or as_json
    first, *others = runs
    if output is None and not summary:
        if others or first.is_file():
            raise click.UsageError(
                "several RUNs, or a table, need -o FILE: only one run directory has a place for "
                "its figure."
            )
        output = first / f"{kind}.png"
    if not summary and not (target_rate is None and target_distortion is None):
        raise click.UsageError("--target-rate and --target-distortion need --summary.")
    if output is not None:
        check_suffix(output)
    if kind == "data" and not summary and output is not None:
        if others or not first.is_dir():
            raise SettingsError("--kind data needs one run directory: not a table, not several.")
        from ratedistortion.run_directory import reading

        save(data_figure(*reading.read_data(first)), output)
        click.echo(output)
        return
    images = losses = None
    tables = dict(zip(_labels(runs), map(read, runs), strict=True))
    if summary:
        # Imported here, because it imports NumPy and pandas and --help must be quick.
        from ratedistortion.cli.curve_summary import as_text, summarise

        found = summarise(tables, units, split, target_rate, target_distortion)
        click.echo(json.dumps(found, allow_nan=False) if as_json else as_text(found))
    if output is None:
        return
    if kind in ("gallery", "training"):
        if others or not first.is_dir():
            raise SettingsError(f"--kind {kind} needs one run directory: not a table, not several.")
        # Imported here, because it imports NumPy and --help must be quick.
        from ratedistortion.run_directory import reading

        if kind == "gallery":
            (table,) = tables.values()
            images = reading.read_images(first, table.attrs["ratedistortion"].get("images_sha256"))
        else:
            losses = reading.read_losses(first)
    save(figure(tables, kind, units, split, images, losses, distortion), output)
    (tell if summary else click.echo)(str(output))


def _labels(runs: tuple[Path, ...]) -> list[str]:
    """The shortest ends of the paths that tell them apart; an rd.parquet has its folder's name."""
    paths = [run.resolve() for run in runs]
    paths = [path.parent if path.name == "rd.parquet" else path for path in paths]
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        labels = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(labels)) == len(labels):
            return labels
    raise SettingsError("each RUN must differ from the others: one was given twice.")
