"""Changes values of a sealed file as a hand would that also knows how to seal it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.run_directory.sealed import read_sealed, seal


def unsealed(path: Path) -> dict[str, Any]:
    """The values of a sealed file."""
    return read_sealed(path, "")[0]


def reseal(path: Path, arrays: Mapping[str, np.ndarray] | None = None, **changes: Any) -> None:
    """Replaces values of a sealed file, and its arrays where there are others."""
    values, before = read_sealed(path, "")
    path.write_bytes(seal(values | changes, before if arrays is None else arrays))
