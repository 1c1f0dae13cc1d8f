"""Arrays that anybody may read of a run directory: pictures, a preview of the data, posteriors."""

from pathlib import Path

import numpy as np

from ratedistortion.errors import SettingsError
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.sealed import read_checked
from ratedistortion.untrusted import damaged, parse_arrays, read_file


def read_images(path: Path, written: str | None = None) -> dict[str, np.ndarray]:
    """The pictures of every run: `originals`, `reconstructions`, `samples`, `beta`, `seed`.

    Args:
        path: The run directory.
        written: The SHA-256 that the table has of the file; None in tables of older versions.

    Returns:
        Name -> array, as the gallery takes them.

    Raises:
        RunDirectoryError: If they are missing or damaged.
    """
    file = path / reading.IMAGES
    if not (path / reading.MANIFEST).exists():
        raise SettingsError(f"{path}: it has no pictures: it is no run directory of rd-sweep.")
    command = reading.command(path)
    remedy = f"restore it, or delete it and {reading.TABLE} and run `{command}` to have both again"
    images = _read_arrays(file, written, remedy)
    try:
        originals = images["originals"]
        runs = [images[name] for name in ("reconstructions", "samples", "beta", "seed")]
        fits = (
            {array.dtype.kind for array in (originals, *runs)} <= set("fiu")
            and len({len(array) for array in runs}) == 1
            and {originals.shape[1:]} == {array.shape[2:] for array in runs[:2]}
        )
    except (KeyError, TypeError) as error:
        raise damaged(file, error, remedy) from error
    if not fits:
        raise damaged(file, "its arrays do not fit together", remedy)
    return images


def read_data(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """What a sweep read: the arrays of `Dataset.preview`, and the line that describes them.

    Args:
        path: The run directory; the sweep need not be finished.

    Raises:
        RunDirectoryError: If they are missing, as in a directory of 0.1.0, or damaged.
        SettingsError: If the folder is no run directory.
    """
    manifest, file = reading.read_manifest(path), path / reading.DATA
    if manifest is None:
        raise SettingsError(f"{path}: not a run directory: it has no {reading.MANIFEST}.")
    remedy = "restore it; a new sweep has it from the start"
    preview = parse_arrays(file, read_file(file, remedy), remedy)
    names = ("train", "test", "edges", "train_counts", "test_counts", "mean")
    if not all(name in preview and preview[name].dtype.kind in "fiu" for name in names) or (
        preview["train"].ndim not in (2, 4)
        or {preview[name].shape[1:] for name in ("train", "test")} != {preview["mean"].shape}
        or any(
            len(preview["edges"]) != len(counts) + 1 or not counts.sum() > 0
            for counts in (preview["train_counts"], preview["test_counts"])
        )
    ):
        raise damaged(file, "its arrays do not fit together", remedy)
    return preview, str(manifest.get("data", ""))


def read_posteriors(path: Path) -> dict[str, np.ndarray]:
    """What `--save-posteriors` has kept of a run and a split.

    Args:
        path: A file in the folder `posteriors` of a run directory.

    Returns:
        Name -> array, as the command's guide lists them.

    Raises:
        RunDirectoryError: If the file is not as the sweep wrote it.
    """
    results = reading.read_results(path.parent.parent)
    sums = {name: s for result in results for name, s in result["posteriors"].items()}
    return _read_arrays(path, sums.get(path.name), "restore it, or sweep again")


def _read_arrays(path: Path, written: str | None, remedy: str) -> dict[str, np.ndarray]:
    """Arrays of a file whose SHA-256 is kept elsewhere, or None where it is not kept."""
    return parse_arrays(path, read_checked(path, written, remedy), remedy)
