"""The numbers of a figure, as a table that other programs and `rd-plot` read."""

import pandas

from ratedistortion.figures.inputs import Inputs

_NAMES = ("label", "dataset", "split", "beta", "seed", "status", "dimensions")
_MEASURED = ("rate", "rate_se", "distortion", "distortion_se")
_INFORMATION = (
    *("mutual_information", "mutual_information_se", "mutual_information_lower"),
    *("mutual_information_upper", "marginal_kl", "marginal_kl_se", "log_examples"),
)
_CONVENTIONS = ("units", "reduction", "convention")


def collect(inputs: Inputs, kind: str, units: str) -> pandas.DataFrame:
    """One row for each point of a figure, with the columns that say what its numbers mean.

    Args:
        inputs: What the figure is drawn from.
        kind: rate-distortion or information.
        units: nats, bits or bits-per-dim, those of `inputs`.

    Returns:
        The rows, curve after curve, by increasing beta and seed, suspect ones last. Squared errors
        are called `distortion_mse`, because they are no distortion in `units`.
    """
    parts = [table.drawn().assign(label=label) for label, table in inputs.tables.items()]
    rows = pandas.concat(parts, ignore_index=True)
    reduction = "mean" if units == "bits-per-dim" else "sum"
    rows = rows.assign(units=units, reduction=reduction, convention="beta")
    measured = (*_MEASURED, *(_INFORMATION if kind == "information" else ()))
    if inputs.squared:
        measured = [name.replace("distortion", "distortion_mse") for name in measured]
    return rows.loc[:, [*_NAMES, *measured, *_CONVENTIONS]]
