"""Data sets: a name, a path or a synthetic source becomes arrays that are fit to train on."""

from ratedistortion.datasets.dataset import Dataset
from ratedistortion.datasets.loading import load
from ratedistortion.datasets.sources import DATASETS
from ratedistortion.datasets.stamps import stamps

__all__ = ["DATASETS", "Dataset", "load", "stamps"]
