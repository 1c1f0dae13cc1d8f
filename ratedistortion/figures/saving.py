"""Writes a figure to a file: the same figure gives the same bytes."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ratedistortion.errors import SettingsError
from ratedistortion.files import write_file

if TYPE_CHECKING:
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
    try:
        write_file(path, buffer.getvalue())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}.") from error


def check_suffix(path: Path) -> None:
    """Refuses a file name of another format, before anything is drawn.

    Args:
        path: Where a figure will be written.

    Raises:
        SettingsError: If the suffix is none of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}.")
