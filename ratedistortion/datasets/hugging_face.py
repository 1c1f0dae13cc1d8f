"""Loads what the library `datasets` of Hugging Face reads: images, Parquet, CSV, its cache."""

import contextlib
import csv
import glob
import hashlib
import importlib
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratedistortion.datasets.arrays import Raw, reason
from ratedistortion.datasets.columns import from_loaded
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings

# Builders of that library that read local files; anything else is the name of a data set.
_BUILDERS = ("imagefolder", "parquet", "csv", "json", "arrow")
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_INSTALL = "pip install 'ratedistortion[hf]'"


def read_hugging_face(specification: str, settings: Settings) -> Raw:
    """The data of a set that `datasets` can read. No code of the set is run.

    Args:
        specification: `imagefolder:DIR`, `parquet:FILE`, `csv:FILE` and the like, where a folder
            with one file for each split will also do; or `NAME` or `NAME:CONFIG` of a set in the
            library's cache.
        settings: Read are `download` (whether a set may be fetched from the hub), `arrays` (split
            -> SPLIT or SPLIT/COLUMN), `max_examples` and `first`.

    Returns:
        The one column of images; else the one column of arrays; else all columns of numbers, but
        labels, as vectors.

    Raises:
        DatasetError: If the library, the file or the set is missing, or the column is not certain.
    """
    source = f"hf:{specification}"
    name, _, rest = specification.partition(":")
    folder = Path(os.path.expanduser(rest)).absolute() if name == "imagefolder" else None
    raw = from_loaded(_load(specification, settings.download, source), settings, source, folder)
    if folder is None:
        return raw
    files = [path for path in folder.rglob("[!.]*") if path.suffix.lower() in _IMAGES]
    left = len(files) - sum(map(len, raw.splits.values()))
    if left > 0 and settings.max_examples is None:
        raw = raw._replace(unused=(*raw.unused, f"{left:,} other images of the folder"))
    return raw


def _load(specification: str, download: bool, source: str) -> dict[str, Any]:
    """Split -> the library's data set."""
    try:
        datasets: Any = importlib.import_module("datasets")
    except ImportError:
        raise DatasetError(f"{source} needs the library datasets: run `{_INSTALL}`.") from None
    name, _, rest = specification.partition(":")
    arguments: dict[str, Any] = {"name": rest or None}
    if name in _BUILDERS:
        path = Path(os.path.expanduser(rest))
        if not rest or not (path.is_dir() or path.is_file()):
            raise DatasetError(f"{source}: {rest or 'the path'} is not there; check it.")
        if "::" in rest:
            raise DatasetError(f"{source}: a path with :: cannot be read; rename it.")
        # Absolute, because the library takes a relative path for one on the hub in some places.
        # The library would take brackets and stars for patterns.
        place = glob.escape(str(path.absolute()))
        arguments = {"data_dir": place} if path.is_dir() else {"data_files": place}
        if name == "csv":
            for file in [path] if path.is_file() else path.rglob("*.csv"):
                _check_csv(file, source)
        arguments["cache_dir"] = str(_cache(path, datasets.config.HF_DATASETS_CACHE))
    elif not name or name[0] in "./~" or Path(name).exists():
        raise DatasetError(
            f"{source} names a file or folder, and not a set: give hf:{'|'.join(_BUILDERS)}:PATH."
        )
    try:
        with _quiet(datasets, download):
            loaded = dict(datasets.load_dataset(name, **arguments))
    except ConnectionError as error:
        raise DatasetError(
            f"{source} is not in the cache of the library datasets, and nothing was downloaded:"
            f" {reason(error)}; --download fetches it, or give hf:{'|'.join(_BUILDERS)}:PATH."
        ) from error
    except Exception as error:  # pyarrow, pandas, Pillow and the hub raise many kinds
        raise DatasetError(
            f"{source} cannot be read: {reason(error.__cause__ or error)}."
        ) from error
    if name == "csv":
        for part in loaded.values():
            _check_names(list(part.features), source)
    return loaded


@contextlib.contextmanager
def _quiet(datasets: Any, download: bool) -> Iterator[None]:
    """No progress bars and no log, and the hub only where it is asked for."""
    import huggingface_hub.constants

    places: tuple[Any, ...] = datasets.config, huggingface_hub.constants
    before = [place.HF_HUB_OFFLINE for place in places]
    bars, said = datasets.is_progress_bar_enabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)  # its errors come as exceptions too
    try:
        for place in places:
            place.HF_HUB_OFFLINE = not download
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value
        datasets.logging.set_verbosity(said)
        if bars:
            datasets.enable_progress_bars()


def _check_csv(path: Path, source: str) -> None:
    """Refuses rows with more fields than names: pandas would take their first field for a name."""
    if path.suffix.lower() != ".csv":
        return
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            names, *rows = itertools.islice(csv.reader(file), 2)
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{source} cannot be read: {reason(error)}.") from error
    if any(len(row) > len(names) for row in rows):
        raise DatasetError(f"{source} has rows with more fields than its first line; mend it.")


def _cache(path: Path, root: Any) -> Path:
    """A folder for the library's copies that is another one once the files have changed."""
    files = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        status = file.lstat()
        digest.update(f"{file} {status.st_size} {status.st_ctime_ns} {status.st_ino}\n".encode())
    return Path(root) / f"ratedistortion-{digest.hexdigest()[:16]}"


def _check_names(names: list[str], source: str) -> None:
    """Refuses a CSV file whose first line is no line of names, or is cut at other marks."""
    if any(mark in name for name in names for mark in ";\t|"):
        raise DatasetError(f"{source} is not separated by commas: {', '.join(names)}; convert it.")
    if all(_is_float(name) for name in names):
        raise DatasetError(
            f"{source} has no line of names: its first line is {', '.join(names)}; add one."
        )


def _is_float(name: str) -> bool:
    try:
        return bool(float(name) or True)
    except ValueError:
        return False
