"""Writes a figure, or its numbers, to a file: the same figure gives the same bytes."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ratedistortion.errors import SettingsError
from ratedistortion.files import write_file

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

# Suffix -> metadata to leave out: the date and the version of matplotlib would change the bytes.
SUFFIXES = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    ".svg": {"Creator": None, "Date": None},
}


def save(figure: "Figure", path: Path) -> None:
    """Writes a figure, whole or not at all.

    Args:
        figure: What `ratedistortion.figure` returned.
        path: Where to; the suffix chooses PNG, PDF or SVG. A file that is there is replaced.

    Raises:
        SettingsError: If the suffix is another one, or the file cannot be written.
    """
    check_suffix(path)
    from ratedistortion.figures import style

    suffix = path.suffix.lower()
    buffer = io.BytesIO()
    with style.context():
        figure.savefig(buffer, format=suffix[1:], metadata=SUFFIXES[suffix])
    _write(path, buffer.getvalue())


def save_numbers(numbers: "pandas.DataFrame", path: Path) -> None:
    """Writes the numbers of a figure as a CSV file, whole or not at all.

    Args:
        numbers: What `numbers` returned.
        path: Where to. A file that is there is replaced.

    Raises:
        SettingsError: If the file cannot be written.
    """
    _write(path, numbers.to_csv(index=False, lineterminator="\n").encode())


def _write(path: Path, data: bytes) -> None:
    try:
        write_file(path, data)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}.") from error


def check_suffix(path: Path, suffixes: Iterable[str] = tuple(SUFFIXES)) -> None:
    """Refuses a file name of another format, before anything is drawn.

    Args:
        path: Where a figure will be written.
        suffixes: Those that are allowed, in small letters.

    Raises:
        SettingsError: If the suffix is another one.
    """
    if path.suffix.lower() not in suffixes:
        raise SettingsError(f"{path}: the suffix must be one of {', '.join(suffixes)}.")
