"""The table as the terminal shows it."""

from typing import TYPE_CHECKING

from ratedistortion.units import per_nat

if TYPE_CHECKING:
    import pandas

_SHOWN = {
    "rate": "R",
    "distortion": "D",
    "negative_elbo": "-ELBO",
    "mutual_information": "I(n;z)",
    "marginal_kl": "KL(q|p)",
}


def results(frame: "pandas.DataFrame", units: str) -> str:
    """One line per run, measured on the test split: value and standard error.

    Args:
        frame: The table, in nats.
        units: Of the printed numbers.
    """
    digits = 4 if units == "bits-per-dim" else 2
    header = ["beta", "seed", *(f"{symbol:>{9 + digits}}" for symbol in _SHOWN.values()), ""]
    lines = [header]
    for row in frame.query("split == 'test'").to_dict("records"):
        factor = per_nat(units, row["dimensions"])
        cells = [
            f"{row[name] * factor:.{digits}f} ±{row[f'{name}_se'] * factor:.{digits}f}"
            for name in _SHOWN
        ]
        saturated = "saturated" if row["saturated"] else ""
        note = "diverged" if row["status"] == "diverged" else saturated
        lines.append([f"{row['beta']:g}", f"{row['seed']}", *cells, note])
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    rows = [[cell.rjust(w) for cell, w in zip(line, widths, strict=True)] for line in lines]
    return "\n".join([f"test split, {units} per image", *("  ".join(row).rstrip() for row in rows)])
