"""Sizes and times of the files of a data set: while they stay, no file needs to be read again."""

import os
from pathlib import Path

from ratedistortion.datasets.numpy_files import SUFFIXES
from ratedistortion.datasets.sources import DATASETS
from ratedistortion.datasets.tfds import prepared_folder
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings
from ratedistortion.settings.memory import PREFIX, kept


def stamps(settings: Settings) -> dict[str, list[int]] | None:
    """Size and time of each file of a data set, found without reading them.

    Args:
        settings: `dataset` and `data_dir` say which files.

    Returns:
        File name -> size in bytes and time of the last change in nanoseconds, for the one file or
        for all files in the folder. Empty for embedded and synthetic sets, which cannot change.
        None if there are no files, or the system refuses to show them.
    """
    name = str(settings.dataset)
    if name.partition(":")[0] in DATASETS or kept(name) is not None:
        return {}
    try:
        path = named_path(name) or prepared_folder(name, settings.data_dir)
        if path is None:
            return None
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        found = {
            str(file.relative_to(path)) if path.is_dir() else file.name: file.stat()
            for file in files
        }
    except (OSError, DatasetError):
        return None
    return {name: [each.st_size, each.st_mtime_ns] for name, each in found.items()}


def named_path(name: str) -> Path | None:
    """The path that the name of a data set stands for.

    Args:
        name: As in `Settings.dataset`. `name/config` is a path if that path exists, and so is
            `data.mat` if that file does. A bare word never is, so that a folder in the working
            directory does not change what `mnist` means.

    Returns:
        The path, or None if this is the name of a TFDS set.
    """
    if name.startswith(("hf:", f"{PREFIX}:")):
        return None
    path = Path(os.path.expanduser(name))
    named = path.suffix.lower() in (*SUFFIXES, ".gz") or name.startswith((".", "~", os.sep))
    there = ("/" in name and path.exists()) or (path.suffix and path.is_file())
    return path if named or there else None
