"""From the columns of a set of Hugging Face's `datasets` to arrays: images, arrays or numbers."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.datasets.arrays import Raw, chosen_rows, reason
from ratedistortion.datasets.names import Chosen, choose, is_label_column
from ratedistortion.datasets.records import decode
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings


def from_loaded(
    loaded: dict[str, Any], settings: Settings, source: str, folder: Path | None = None
) -> Raw:
    """The data of sets that the library has loaded.

    Args:
        loaded: Split -> set.
        settings: Read are `arrays` (split -> SPLIT or SPLIT/COLUMN), `max_examples`, `first` and
            `select`.
        source: What to call them.
        folder: Where images lie that are named by their paths; None for nowhere.

    Returns:
        The one column of images; else the one column of arrays; else all columns of numbers, but
        labels, as vectors.

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
