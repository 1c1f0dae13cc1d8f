"""Figures of tables and arrays; matplotlib is imported when the first one is drawn."""

from ratedistortion.figures.kinds import DISTORTIONS, FIGURES, data_figure, figure
from ratedistortion.figures.saving import SUFFIXES, check_suffix, save

__all__ = ["DISTORTIONS", "FIGURES", "SUFFIXES", "check_suffix", "data_figure", "figure", "save"]
