"""Figures of tables and arrays; matplotlib is imported when the first one is drawn."""

from ratedistortion.figures.kinds import (
    DISTORTIONS,
    FIGURES,
    check_numbers,
    check_points,
    data_figure,
    figure,
    numbers,
)
from ratedistortion.figures.saving import SUFFIXES, check_suffix, save, save_numbers

__all__ = [
    "DISTORTIONS",
    "FIGURES",
    "SUFFIXES",
    "check_numbers",
    "check_points",
    "check_suffix",
    "data_figure",
    "figure",
    "numbers",
    "save",
    "save_numbers",
]
