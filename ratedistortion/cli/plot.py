"""`rd-plot`: tables of sweeps and points of other people in, a figure or a summary out."""

import json
from pathlib import Path
from typing import Any

import click

from ratedistortion import __version__
from ratedistortion.api import is_csv, read
from ratedistortion.cli.errors import Command, tell
from ratedistortion.errors import SettingsError
from ratedistortion.figures import (
    DISTORTIONS,
    FIGURES,
    SUFFIXES,
    check_numbers,
    check_points,
    check_suffix,
    data_figure,
    figure,
    numbers,
    save,
    save_numbers,
)
from ratedistortion.table.units import CONVENTIONS, REDUCTIONS, UNITS
from ratedistortion.text import printable


@click.command(
    cls=Command, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The figure: a name that ends in .png, .pdf or .svg; in .csv, its numbers.  [default: "
    "RUN/KIND.png, where RUN is one run directory; no figure with --summary]",
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
@click.option(
    "--input-units",
    type=click.Choice(UNITS),
    help="Units of R and D in CSV files, which their column units may say instead.",
)
@click.option(
    "--reduction",
    type=click.Choice(REDUCTIONS),
    help="Whether R and D in CSV files are sums or means over the dimensions of an image.",
)
@click.option(
    "--convention",
    type=click.Choice(CONVENTIONS),
    help="What the weight in CSV files is on. beta: the rate, loss D + beta R; lambda: the "
    "distortion, loss R + lambda D.",
)
@click.option(
    "--dimensions",
    metavar="N",
    type=click.IntRange(1),
    help="Dimensions of an image in CSV files; means over them need it.",
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
    **said: Any,
) -> None:
    """Draw the table of each RUN, several on one plot, or print what it says.

    RUN is a run directory of rd-sweep, a Parquet table, or a CSV file with points of other people:
    the columns rate and distortion, and others. The same tables give the same bytes.
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
    if summary and distortion != "nll":
        raise click.UsageError("--summary is of D in nats: --distortion is of figures.")
    if output is not None:
        _check_output(output, kind, runs)
    tables = _tables(runs, said) if summary or kind != "data" else {}
    if summary:
        # Imported here, because it imports NumPy and pandas and --help must be quick.
        from ratedistortion.cli.curve_summary import summarise
        from ratedistortion.cli.curve_text import as_text

        found = summarise(tables, units, split, target_rate, target_distortion)
        click.echo(json.dumps(found, allow_nan=False) if as_json else as_text(found))
    if output is None:
        return
    # Imported here, because it imports NumPy and --help must be quick.
    from ratedistortion.run_directory import npz_files, reading

    images = losses = None
    if kind == "gallery":
        (table,) = tables.values()
        images = npz_files.read_images(first, table.attrs["ratedistortion"].get("images_sha256"))
    elif kind == "training":
        losses = reading.read_losses(first)
    if kind == "data":
        save(data_figure(*npz_files.read_data(first)), output)
    elif _is_numbers(output):
        save_numbers(numbers(tables, kind, units, split, distortion), output)
    else:
        save(figure(tables, kind, units, split, images, losses, distortion), output)
    (tell if summary else click.echo)(str(output))


def _is_numbers(output: Path) -> bool:
    return output.suffix.lower() == ".csv"


def _check_output(output: Path, kind: str, runs: tuple[Path, ...]) -> None:
    """Refuses what cannot be written, before anything is read."""
    check_suffix(output, (*SUFFIXES, ".csv"))
    if any(map(is_csv, runs)):
        check_points(kind)
    first, *others = runs
    if kind in ("data", "gallery", "training") and (others or not first.is_dir()):
        raise SettingsError(f"--kind {kind} needs one run directory: not a table, not several.")
    if _is_numbers(output):
        check_numbers(kind)
        if output.resolve() in [run.resolve() for run in runs]:
            raise click.UsageError(f"{output} is one of the RUNs: it would be replaced.")


def _tables(runs: tuple[Path, ...], said: dict[str, Any]) -> dict[str, Any]:
    """The table of each RUN by its label, read by what was said of CSV files."""
    if any(value is not None for value in said.values()) and not any(map(is_csv, runs)):
        *most, last = (f"--{name.replace('_', '-')}" for name in said)
        raise click.UsageError(f"{', '.join(most)} and {last} need a CSV file among the RUNs.")
    tables = {}
    for label, run in zip(_labels(runs), runs, strict=True):
        tables[label] = read(run, **said) if is_csv(run) else read(run)
        if unused := tables[label].attrs["ratedistortion"].get("unused"):
            tell(printable(f"{label}: not used: {', '.join(unused)}."))
    return tables


def _labels(runs: tuple[Path, ...]) -> list[str]:
    """The shortest ends of the paths that tell them apart; an rd.parquet has its folder's name."""
    paths = [run.resolve() for run in runs]
    paths = [path.parent if path.name == "rd.parquet" else path for path in paths]
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        labels = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(labels)) == len(labels):
            return labels
    raise SettingsError("each RUN must differ from the others: one was given twice.")
