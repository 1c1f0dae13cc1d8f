"""The table that a sweep ends in: its columns, its file, its units and what names a run.

Reading and writing it is in `ratedistortion.table.parquet`, which imports pandas and pyarrow;
nothing else here does.
"""

from ratedistortion.table.columns import COLUMNS, NATS_COLUMNS, check_names, described
from ratedistortion.table.units import UNITS, per_nat, unit_words

__all__ = ["COLUMNS", "NATS_COLUMNS", "UNITS", "check_names", "described", "per_nat", "unit_words"]
