"""Changes values of a sealed file as a hand would that also knows how to seal it."""

from pathlib import Path
from typing import Any

from ratedistortion.run_directory.sealed import seal, unseal


def unsealed(path: Path) -> dict[str, Any]:
    """The values of a sealed file."""
    return unseal(path, path.read_bytes(), "")[0]


def reseal(path: Path, arrays: bytes | None = None, **changes: Any) -> None:
    """Replaces values of a sealed file, and the bytes of its arrays where there are others."""
    values, before = unseal(path, path.read_bytes(), "")
    path.write_bytes(seal(values | changes, before if arrays is None else arrays))
