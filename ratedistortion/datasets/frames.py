"""Data sets that are pandas DataFrames: all columns of numbers but labels, as vectors."""

from typing import TYPE_CHECKING

import numpy as np

from ratedistortion.datasets.arrays import Raw, reason
from ratedistortion.datasets.names import choose, is_label_column
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings

if TYPE_CHECKING:
    import pandas


def from_frames(frames: "dict[str, pandas.DataFrame]", settings: Settings, source: str) -> Raw:
    """The vectors of DataFrames; columns of the test split go by their names.

    Args:
        frames: Split -> DataFrame.
        settings: Read are `arrays` and `select`.
        source: What to call them.

    Returns:
        float64, with a missing value as nan.

    Raises:
        DatasetError: If no column is left, or a split lacks one.
    """
    shapes = {split: (len(frame), 0) for split, frame in frames.items()}
    chosen = choose(shapes, settings, source)
    train = frames[chosen.names["train"]]
    numbers = list(train.select_dtypes(["number", "bool"], ["timedelta", "complex"]).columns)
    columns = [name for name in numbers if not is_label_column(str(name))]
    if not columns or len(set(columns)) < len(columns):
        raise DatasetError(
            f"{source}: a DataFrame must have columns of numbers, each with a name of its own: got"
            f" {', '.join(map(str, train.columns))}."
        )
    splits = {}
    for split, name in chosen.names.items():
        if missing := [column for column in columns if column not in frames[name]]:
            raise DatasetError(f"{source}: {name} has no column {missing[0]!r}, and train has one.")
        try:
            splits[split] = frames[name][columns].to_numpy(float, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{source}: {name} must hold numbers: {reason(error)}.") from error
    unused = [
        f"{name} ({'labels' if name in numbers else 'no numbers'})"
        for name in train.columns
        if name not in columns
    ]
    return Raw(splits, f"{source}[{chosen.label}]", (*chosen.unused, *unused), layout="ND")
