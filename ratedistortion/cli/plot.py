"""`rd-plot`: tables of sweeps in, a figure out."""

from pathlib import Path

import click

from ratedistortion import __version__
from ratedistortion.api import read
from ratedistortion.cli.errors import Command
from ratedistortion.errors import SettingsError
from ratedistortion.figures import FIGURES, check_suffix, figure, save
from ratedistortion.units import UNITS


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="The figure: a name that ends in .png, .pdf or .svg.",
)
@click.option(
    "--kind",
    type=click.Choice(list(FIGURES)),
    default="rate-distortion",
    show_default=True,
    help="What to draw.",
)
@click.option(
    "--units", type=click.Choice(UNITS), default="nats", show_default=True, help="Units of R and D."
)
@click.option(
    "--split",
    type=click.Choice(["train", "test"]),
    default="test",
    show_default=True,
    help="The images that the numbers are measured on.",
)
@click.version_option(__version__)
def main(runs: tuple[Path, ...], output: Path, kind: str, units: str, split: str) -> None:
    """Draw the table of each RUN, several on one plot.

    RUN is a run directory of rd-sweep or a Parquet table. The same tables give the same bytes.
    """
    check_suffix(output)
    images = losses = None
    first, *others = runs
    tables = dict(zip(_labels(runs), map(read, runs), strict=True))
    if kind in ("gallery", "training"):
        if others or not first.is_dir():
            raise SettingsError(f"--kind {kind} needs one run directory: not a table, not several.")
        # Imports NumPy, which takes a good part of the time that --help may take.
        from ratedistortion import contents

        if kind == "gallery":
            images = contents.read_images(first)
        else:
            losses = contents.read_losses(first)
    save(figure(tables, kind, units, split, images, losses), output)
    click.echo(output)


def _labels(runs: tuple[Path, ...]) -> list[str]:
    """The shortest ends of the paths that tell them apart; rd.parquet goes by its folder."""
    paths = [run.resolve() for run in runs]
    paths = [path.parent if path.name == "rd.parquet" else path for path in paths]
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        labels = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(labels)) == len(labels):
            return labels
    raise SettingsError("each RUN must differ from the others: one was given twice.")
