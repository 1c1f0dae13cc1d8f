"""What the library `datasets` of Hugging Face reads: folders of images, Parquet, CSV, its cache."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.datasets.arrays import Raw, chosen_rows, reason
from ratedistortion.datasets.names import Chosen, choose, is_label
from ratedistortion.datasets.records import decode
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings

# Builders of that library that read local files; anything else is the name of a data set.
_BUILDERS = ("imagefolder", "parquet", "csv", "json", "arrow")
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
    return from_loaded(_load(specification, settings.download, source), settings, source)


def from_loaded(loaded: dict[str, Any], settings: Settings, source: str) -> Raw:
    """The data of sets that the library has loaded.

    Args:
        loaded: Split -> set.
        settings: As for `read_hugging_face`.
        source: What to call them.

    Returns:
        As `read_hugging_face`.

    Raises:
        DatasetError: If the column is not certain, or rows differ in shape.
    """
    asked = {split: name.partition("/") for split, name in (settings.arrays or {}).items()}
    counts = {name: (part.num_rows, 0) for name, part in loaded.items()}
    chosen = choose(counts, {split: name[0] for split, name in asked.items()} or None, source)
    first = loaded[chosen.names["train"]]
    columns = _columns(first.features, asked["train"][2] if asked else "", source)
    whole = "test" not in chosen.names  # which rows are the test depends on their number
    splits = {}
    for split, name in chosen.names.items():
        most = None if whole else settings.max_examples
        rows = chosen_rows(loaded[name].num_rows, most, settings.first, split)
        splits[split] = _array(loaded[name], columns, rows, f"{source}, {name}")
    rest = [f"{name} ({_why(name, first.features[name])})" for name in first.features]
    unused = [text for name, text in zip(first.features, rest, strict=True) if name not in columns]
    images = _is_image(first.features[columns[0]])
    return Raw(
        splits,
        f"{source}[{_label(chosen, columns)}]",
        (*chosen.unused, *unused),
        white=float(np.iinfo(splits["train"].dtype).max) if images else None,
        layout="NHWC" if images else "ND" if splits["train"].ndim == 2 else None,
    )


def _load(specification: str, download: bool, source: str) -> dict[str, Any]:
    """Split -> the library's data set."""
    try:
        import datasets
    except ImportError:
        raise DatasetError(f"{source} needs the library datasets: run `{_INSTALL}`.") from None
    name, _, rest = specification.partition(":")
    arguments: dict[str, Any] = {"name": rest or None}
    if name in _BUILDERS:
        path = Path(os.path.expanduser(rest))
        if not rest or not (path.is_dir() or path.is_file()):
            raise DatasetError(f"{source}: {rest or 'the path'} is not there; check it.")
        # Absolute, because the library takes a relative path for one on the hub in some places.
        place = str(path.absolute())
        arguments = {"data_dir": place} if path.is_dir() else {"data_files": place}
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
    """No progress bars, and the hub only where it is asked for."""
    import huggingface_hub.constants

    places: tuple[Any, ...] = datasets.config, huggingface_hub.constants
    before = [place.HF_HUB_OFFLINE for place in places]
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        for place in places:
            place.HF_HUB_OFFLINE = not download
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value
        if bars:
            datasets.enable_progress_bars()


def _columns(features: Any, asked: str, source: str) -> list[str]:
    """The columns that are the data: one, or several of single numbers."""
    if asked:
        if asked not in features:
            raise DatasetError(f"{source} has no column {asked!r}: got {', '.join(features)}.")
        return [asked]
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


def _why(name: str, feature: Any) -> str:
    """What a column is, for the list of those that are not used."""
    if type(feature).__name__ == "ClassLabel" or is_label(name):
        return "labels"
    if _is_image(feature):
        return "images"
    return "array" if _is_array(feature) else "number" if _is_number(feature) else "no numbers"


def _label(chosen: Chosen, columns: list[str]) -> str:
    some = ", ".join(columns[:4]) + (", ..." if len(columns) > 4 else "")
    return f"{chosen.label}: {some}"


def _array(part: Any, columns: list[str], rows: np.ndarray, what: str) -> np.ndarray:
    """The rows of a split as one array."""
    import datasets

    try:
        if _is_image(part.features[columns[0]]):
            encoded = part.cast_column(columns[0], datasets.Image(decode=False)).select(rows)
            return _pictures(encoded[columns[0]], what)
        numbers = part.select(rows).with_format("numpy")
        each = [np.asarray(numbers[column][:]) for column in columns]
        array = each[0] if len(each) == 1 else np.stack(each, axis=1)
    except DatasetError:
        raise
    except Exception as error:  # pyarrow and Pillow raise many kinds
        raise DatasetError(f"{what} cannot be read: {reason(error)}.") from error
    if array.dtype == object:
        raise DatasetError(f"{what}: all rows must hold arrays of one shape; they do not.")
    return array[:, None] if array.ndim == 1 else array


def _pictures(encoded: Any, what: str) -> np.ndarray:
    """Images of one size and mode; each is the content of a file, or its path."""
    images = np.empty(0)
    for row, each in enumerate(encoded):
        try:
            content = each["bytes"] if each["bytes"] else Path(each["path"]).read_bytes()
            image = decode(content, None)
        except (OSError, TypeError) as error:
            raise DatasetError(f"row {row} of {what} is no image: {reason(error)}.") from error
        if row == 0:
            images = np.empty((len(encoded), *image.shape), image.dtype)
        if image.shape != images.shape[1:] or image.dtype != images.dtype:
            raise DatasetError(
                f"{what}: images must be of one size and kind: row 0 has {images.shape[1:]}"
                f" {images.dtype}, row {row} {image.shape} {image.dtype}; convert them."
            )
        images[row] = image
    return images
