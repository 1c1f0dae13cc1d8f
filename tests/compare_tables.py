"""Compares the tables that several Pythons made of one sweep, and fails where they disagree.

    python tests/compare_tables.py RUN RUN...

Rows must be the same. R, D, I(n;z) and the marginal KL may differ by a hundredth of their standard
error and a hundred-thousandth of themselves. Measured on the digits, twelve models of 1,400 steps,
on one machine: Python 3.11 with JAX 0.10.2, and 3.12 and 3.13 with JAX 0.11.0, gave the same bits.
What rounds every step differently, `vmap` in place of `map` or a learning rate that is one float32
larger, moved no number by more than 0.03 of what is allowed; the rest is for other releases and
processors. A compiler that computes wrongly, as those of JAX 0.11.1 and 0.11.2, moves nats.
"""

import math
import sys

import pandas

import ratedistortion

QUANTITIES = ("rate", "distortion", "mutual_information", "marginal_kl")
ROW = ["dataset", "split", "beta", "seed", "status"]
_ERRORS, _RELATIVE = 1e-2, 1e-5


def differences(first: pandas.DataFrame, other: pandas.DataFrame) -> pandas.DataFrame:
    """How far every number of one table is from another's, in units of what is allowed.

    Raises:
        ValueError: If the tables have not the same rows in the same order.
    """
    if not first[ROW].equals(other[ROW]):
        raise ValueError(f"the rows differ in {', '.join(ROW[:-1])} or {ROW[-1]}")
    apart = {}
    for name in QUANTITIES:
        one, two = first[name], other[name]
        allowed = _ERRORS * first[f"{name}_se"] + _RELATIVE * one.abs()
        same = (one == two) | (one.isna() & two.isna())
        apart[name] = ((one - two).abs() / allowed).fillna(math.inf).mask(same, 0.0)
    return pandas.DataFrame(apart)


def main(first: str, *others: str) -> str | None:
    """Prints the largest difference of every column from the first table; returns what is wrong."""
    table = ratedistortion.read(first)
    for run in others:
        other = ratedistortion.read(run)
        try:
            apart = differences(table, other)
        except ValueError as error:
            return f"{run} and {first}: {error}."
        largest = ", ".join(f"{name} {value:.2g}" for name, value in apart.max().items())
        print(f"{run} and {first}, in units of what is allowed: {largest}")
        n, name = apart.stack().idxmax()
        if apart.loc[n, name] > 1:
            row = ", ".join(f"{key} {table.loc[n, key]}" for key in ROW[:-1])
            return (
                f"{run} and {first}: row {n} ({row}): {name} is {other.loc[n, name]} and"
                f" {table.loc[n, name]}, {apart.loc[n, name]:.3g} times what is allowed."
            )
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
