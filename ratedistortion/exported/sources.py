"""Arrays by name, from a file, a folder or a Python program, and the facts that a name tells."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.errors import SettingsError
from ratedistortion.foreign import as_numpy
from ratedistortion.run_directory import npz_files, reading
from ratedistortion.text import printable
from ratedistortion.untrusted import Npz, npy_header

_WORDS = "(beta|target_rate|seed|split|label|dataset)"
_IN_NAMES = re.compile(f"(?:^|,){_WORDS}=([^,]+)")
_OBJECTS = "holds Python objects, which are never read: save numbers"


def from_path(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz`, or of a folder with one `.npy` for each, which are memory-mapped.

    A name such as `beta=0.5,seed=0,split=test.npz` tells what an array in the file could tell too;
    what else is in a name is the label of the curve.

    Args:
        path: The file or the folder.

    Returns:
        Name -> array, or text from the name of the file.

    Raises:
        SettingsError: If it cannot be read, holds Python objects, or says something in two ways.
        RunDirectoryError: If it is one of `--save-posteriors` and not as the sweep wrote it.
    """
    real = path.resolve()
    if real.parent.name == reading.POSTERIORS and (real.parents[1] / reading.MANIFEST).exists():
        arrays: dict[str, Any] = dict(npz_files.read_posteriors(real))
    else:
        # What NumPy and zipfile raise on bytes that are not theirs is no closed list.
        try:
            arrays = _of_folder(path) if path.is_dir() else _of_npz(path)
        except Exception as error:
            reason = printable(getattr(error, "strerror", None) or str(error))
            raise SettingsError(
                f"{path}: expected an .npz, or a folder with one .npy for each array: {reason}."
            ) from error
    stem = path.name if path.is_dir() else path.name.removesuffix(".npz")
    for name, text in _IN_NAMES.findall(stem):
        if name in arrays and not same(arrays[name], text):
            raise SettingsError(f"{path}: its name says {name} {text}, its array {arrays[name]}.")
        arrays.setdefault(name, text)
    rest = _IN_NAMES.sub("", stem).strip(",")
    if found := re.search(_WORDS + "=", rest):
        raise SettingsError(
            f"{path}: its name must have a comma before {found[0]} and after each value, as in"
            " NAME,beta=0.5,seed=1.npz; rename it."
        )
    if rest:
        arrays.setdefault("label", rest)
    return arrays


def from_program(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The same arrays in NumPy: of JAX, of torch, or of anything that NumPy takes.

    Args:
        given: Name -> array, number or text; None is left out.
        where: What errors call it.

    Raises:
        SettingsError: If NumPy does not take one.
    """
    arrays = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            arrays[name] = as_numpy(value)
        except ValueError as error:
            raise SettingsError(
                f"{where}: {name} must be an array that NumPy takes: got {error}."
            ) from error
    return arrays


def _of_npz(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        npz = Npz(file)
        for name in npz.shapes:
            if npz.has_objects(name):
                raise ValueError(f"{name} {_OBJECTS}")
        return {name: npz.read(name) for name in npz.shapes}


def _of_folder(path: Path) -> dict[str, Any]:
    files = sorted(file for file in path.glob("*.npy") if file.is_file())
    if not files:
        raise ValueError("it has no .npy")
    return {file.stem: _mapped(file) for file in files}


def _mapped(file: Path) -> np.ndarray:
    with file.open("rb") as opened:
        try:
            _, dtype = npy_header(opened, file.stat().st_size)
        except Exception as error:  # what NumPy raises of a header is no closed list
            raise ValueError(
                f"{file.name} is damaged, or was not written by numpy.save: write it again, or"
                " take it out"
            ) from error
    if dtype.hasobject:
        raise ValueError(f"{file.name} {_OBJECTS}")
    return np.load(file, mmap_mode="r", allow_pickle=False)


def same(one: Any, other: Any) -> bool:
    """Whether two arrays, numbers or texts say the same: 1 and 1.0 do.

    Args:
        one: Any of them.
        other: Any of them.
    """
    try:
        numbers = [np.asarray(value, float) for value in (one, other)]
    except ValueError:
        return str(one) == str(other)
    # 0.1 in float32 is meant to be 0.1.
    return numbers[0].shape == numbers[1].shape and np.allclose(*numbers, rtol=1e-7, atol=0)
