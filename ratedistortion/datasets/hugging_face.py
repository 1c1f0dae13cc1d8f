"""What the library `datasets` of Hugging Face reads: folders of images, Parquet, CSV, its cache."""

import contextlib
import csv
import dataclasses
import glob
import hashlib
import importlib
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.datasets.arrays import Raw, chosen_rows, reason
from ratedistortion.datasets.names import Chosen, choose, is_label_column
from ratedistortion.datasets.records import decode
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


def from_loaded(
    loaded: dict[str, Any], settings: Settings, source: str, folder: Path | None = None
) -> Raw:
    """The data of sets that the library has loaded.

    Args:
        loaded: Split -> set.
        settings: As for `read_hugging_face`.
        source: What to call them.
        folder: Where images lie that are named by their paths; None for nowhere.

    Returns:
        As `read_hugging_face`.

    Raises:
        DatasetError: If the column is not certain, or rows differ in shape.
    """
    asked = {split: name.partition("/") for split, name in (settings.arrays or {}).items()}
    counts = {name: (part.num_rows, 0) for name, part in loaded.items()}
    names = {split: name[0] for split, name in asked.items()} or None
    if len({name[2] for name in asked.values()}) > 1:
        raise DatasetError(f"{source}: --arrays must name the same column for every split.")
    chosen = choose(counts, dataclasses.replace(settings, arrays=names), source)
    first = loaded[chosen.names["train"]]
    columns = _columns(first.features, asked["train"][2] if asked else "", source)
    whole = "test" not in chosen.names  # which rows are the test depends on their number
    splits = {}
    for split, name in chosen.names.items():
        most = None if whole else settings.max_examples
        rows = chosen_rows(loaded[name].num_rows, most, settings.first, split)
        splits[split] = _array(loaded[name], columns, rows, f"{source}, {name}", folder)
    rest = [f"{name} ({_why(name, first.features[name])})" for name in first.features]
    unused = [text for name, text in zip(first.features, rest, strict=True) if name not in columns]
    images = _is_image(first.features[columns[0]])
    return Raw(
        splits,
        f"{source}[{_label(chosen, columns)}]",
        (*chosen.unused, *unused),
        white=_white(splits["train"].dtype) if images else None,
        layout="NHWC" if images else "ND" if splits["train"].ndim == 2 else None,
    )


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
            return dict(datasets.load_dataset(name, **arguments))
    except ConnectionError as error:
        raise DatasetError(
            f"{source} is not in the cache of the library datasets, and nothing was downloaded:"
            f" {reason(error)}; --download fetches it, or give hf:{'|'.join(_BUILDERS)}:PATH."
        ) from error
    except Exception as error:  # pyarrow, pandas, Pillow and the hub raise many kinds
        raise DatasetError(
            f"{source} cannot be read: {reason(error.__cause__ or error)}."
        ) from error


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


def _columns(features: Any, asked: str, source: str) -> list[str]:
    """The columns that are the data: one, or several of single numbers."""
    if asked:
        names = [asked] if asked in features else asked.split("+")
        for name in names:
            if name not in features:
                raise DatasetError(f"{source} has no column {name!r}: got {', '.join(features)}.")
        if len(names) > 1 and not all(_is_number(features[name]) for name in names):
            raise DatasetError(f"{source}: only columns of numbers go together: got {asked}.")
        return names
    if source.startswith("hf:csv:"):
        _check_names(list(features), source)
    images = [name for name in features if _is_image(features[name])]
    arrays = [name for name in features if _is_array(features[name])]
    numbers = [name for name in features if _why(name, features[name]) == "number"]
    for found, usual in ((images, ("image", "img")), (arrays, ())):
        one = [name for name in found if name in usual] or found
        if len(one) == 1:
            return one
        if one:
            raise DatasetError(
                f"{source} has several columns that could be the data, {', '.join(one)}: give"
                f" --arrays train=SPLIT/{one[0]}, and likewise test."
            )
    if not numbers:
        raise DatasetError(f"{source} has no column of images or numbers: {', '.join(features)}.")
    return numbers


def _check_names(names: list[str], source: str) -> None:
    """Refuses a CSV file whose first line is no line of names, or is cut at other marks."""
    if any(mark in name for name in names for mark in ";\t|"):
        raise DatasetError(f"{source} is not separated by commas: {', '.join(names)}; convert it.")
    if all(_is_float(name) for name in names):
        raise DatasetError(
            f"{source} has no line of names: its first line is {', '.join(names)}; add one."
        )


def _is_image(feature: Any) -> bool:
    return type(feature).__name__ == "Image"


def _is_array(feature: Any) -> bool:
    """Whether each row holds an array of numbers."""
    inner = getattr(feature, "feature", None)
    return type(feature).__name__ in ("Array2D", "Array3D", "Array4D") or (
        inner is not None and (_is_array(inner) or _is_number(inner))
    )


def _is_number(feature: Any) -> bool:
    return str(getattr(feature, "dtype", "")).startswith(("int", "uint", "float", "bool"))


def _is_float(name: str) -> bool:
    try:
        return bool(float(name) or True)
    except ValueError:
        return False


def _white(dtype: np.dtype) -> float | None:
    return float(np.iinfo(dtype).max) if dtype in (np.uint8, np.uint16) else None


def _why(name: str, feature: Any) -> str:
    """What a column is, for the list of those that are not used."""
    if type(feature).__name__ == "ClassLabel" or is_label_column(name):
        return "labels"
    if _is_image(feature):
        return "images"
    return "array" if _is_array(feature) else "number" if _is_number(feature) else "no numbers"


def _label(chosen: Chosen, columns: list[str]) -> str:
    some = ", ".join(columns[:4]) + (", ..." if len(columns) > 4 else "")
    return f"{chosen.label}: {some}"


def _array(
    part: Any, columns: list[str], rows: np.ndarray, what: str, folder: Path | None
) -> np.ndarray:
    """The rows of a split as one array."""
    import datasets

    try:
        if _is_image(part.features[columns[0]]):
            encoded = part.cast_column(columns[0], datasets.Image(decode=False)).select(rows)
            return _pictures(encoded[columns[0]], what, folder)
        chosen = part.select(rows)
        each = [_numbers(chosen, column, part.features[column]) for column in columns]
        array = each[0] if len(each) == 1 else np.stack(each, axis=1)
    except DatasetError:
        raise
    except Exception as error:  # pyarrow and Pillow raise many kinds
        raise DatasetError(f"{what} cannot be read: {reason(error)}.") from error
    if array.dtype == object:
        raise DatasetError(f"{what}: all rows must hold arrays of one shape; they do not.")
    return array[:, None] if array.ndim == 1 else array


def _numbers(part: Any, column: str, feature: Any) -> np.ndarray:
    """A column in its own precision; by itself the library makes float32 of all floats."""
    while getattr(feature, "feature", None) is not None:
        feature = feature.feature
    kind = str(feature.dtype)
    dtype = np.dtype({"bool": "bool"}.get(kind, kind)) if kind != "float16" else np.dtype("f4")
    part = part.select_columns([column])
    if _is_number(part.features[column]):
        cells = part.with_format("arrow")[:].column(column).combine_chunks()
        return cells.to_numpy(zero_copy_only=False)
    return np.asarray(part.with_format("numpy", dtype=dtype)[column][:])


def _pictures(encoded: Any, what: str, folder: Path | None) -> np.ndarray:
    """Images of one size and mode; each is the content of a file, or its path in the folder."""
    images = np.empty(0)
    for row, each in enumerate(encoded):
        try:
            image = decode(each["bytes"] or _file_in(folder, each["path"]), None)
        except (OSError, TypeError) as error:
            name = f" ({Path(each['path']).name})" if each and each["path"] else ""
            why = f": {error}" if "frames" in str(error) else ""
            raise DatasetError(
                f"row {row} of {what}{name} is no image that can be read{why}."
            ) from error
        if row == 0:
            images = np.empty((len(encoded), *image.shape), image.dtype)
        if image.shape != images.shape[1:] or image.dtype != images.dtype:
            raise DatasetError(
                f"{what}: images must be of one size and kind: row 0 has {images.shape[1:]}"
                f" {images.dtype}, row {row} {image.shape} {image.dtype}; convert them."
            )
        images[row] = image
    return images


def _file_in(folder: Path | None, name: str) -> bytes:
    """The content of a file of the folder; data must not name other files of this machine."""
    path = Path(name).resolve()
    if folder is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise OSError(f"{name} is no file of the data set")
    return path.read_bytes()
