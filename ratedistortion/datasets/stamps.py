"""Size and time of the files behind a data set, which tell without reading that none changed."""

import os
from pathlib import Path

from ratedistortion.datasets.numpy_files import SUFFIXES
from ratedistortion.datasets.sources import DATASETS
from ratedistortion.datasets.tfds import prepared_folder
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings


def stamps(settings: Settings) -> dict[str, list[int]] | None:
    """What tells a data set's files from others, without reading them.

    Args:
        settings: `dataset` and `data_dir` say which files.

    Returns:
        File name -> size in bytes and time of the last change in nanoseconds: of the one file, or
        of all in the folder; empty for embedded and synthetic sets, which cannot change. None
        where nothing is there, or it cannot be looked at.
    """
    name = str(settings.dataset)
    if name.partition(":")[0] in DATASETS:
        return {}
    try:
        path = named_path(name) or prepared_folder(name, settings.data_dir)
        if path is None:
            return None
        files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else [path]
        found = {file.name: file.stat() for file in files}
    except (OSError, DatasetError):
        return None
    return {name: [each.st_size, each.st_mtime_ns] for name, each in found.items()}


def named_path(name: str) -> Path | None:
    """The path that a data set's name stands for; None if it is the name of a TFDS set.

    `name/config` is a TFDS name unless there is such a path; a bare word always is one, so that a
    folder in the working directory does not change what `mnist` means.
    """
    path = Path(os.path.expanduser(name))
    named = path.suffix in (*SUFFIXES, ".gz") or name.startswith((".", "~", os.sep))
    return path if named or ("/" in name and path.exists()) else None
