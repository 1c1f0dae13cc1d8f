"""Image sets of TensorFlow Datasets (TFDS), found where they are prepared, and read."""

import contextlib
import difflib
import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from ratedistortion.datasets.arrays import Raw, chosen_rows, reason
from ratedistortion.datasets.names import choose
from ratedistortion.datasets.records import RECORDS, read_images
from ratedistortion.datasets.sources import DATASETS
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings

_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>\w[\w.+-]*))?(:(?P<version>\d+\.\d+\.\d+))?")
_MAX_JSON = 1 << 24  # bytes of a file that describes a set
_NEEDED = ("tensorflow", "importlib_resources")
_INSTALL = f"pip install {' '.join(_NEEDED)}"


def read_tfds(dataset: str, settings: Settings) -> Raw:
    """The images of a TFDS set.

    Args:
        dataset: `name`, `name:version`, `name/config` or `name/config:version`. Without a
            version, the newest that is prepared.
        settings: Read are `data_dir` (where prepared sets are; else $TFDS_DATA_DIR, else
            ~/tensorflow_datasets), `download` (whether a set that is not prepared may be),
            `arrays`, `max_examples` and `first`: only the images that are used are decoded.

    Returns:
        The images. `test` is the set's split `test`, else `validation`.

    Raises:
        DatasetError: If the set is unknown, not prepared, damaged or not of images of one size.
    """
    folder, root = prepared_folder(dataset, settings.data_dir), _root(settings.data_dir)
    if folder is None:
        _check_known(dataset)
        if not settings.download:
            builder = (
                f"tfds.builder({dataset!r}, data_dir={str(root)!r}, file_format='array_record')"
            )
            raise DatasetError(
                f"{dataset} is a TFDS data set not prepared in {root}{_path_hint(dataset)}: run "
                f'`{_INSTALL}`, then `python -c "import tensorflow_datasets as tfds; {builder}'
                '.download_and_prepare()"`.'
            )
        folder = _download(dataset, root)
    return read_tfds_folder(folder, settings)


def prepared_folder(dataset: str, data_dir: str | None) -> Path | None:
    """The folder that holds the `dataset_info.json` of a prepared set.

    Args:
        dataset: As for `read_tfds`.
        data_dir: As in the settings of `read_tfds`.

    Returns:
        The folder, or None if the set is not prepared.

    Raises:
        DatasetError: If several configurations are prepared and the name gives none.
    """
    match, root = _NAME.fullmatch(dataset), _root(data_dir)
    if match is None:
        return None
    name, config, version = match["name"], match["config"], match["version"]
    folders = [
        path.parent
        for pattern in ([f"{name}/{config}/*"] if config else [f"{name}/*", f"{name}/*/*"])
        for path in root.glob(f"{pattern}/dataset_info.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name) and version in (None, path.parent.name)
    ]
    configs = sorted({str(folder.parent.relative_to(root)) for folder in folders})
    if len(configs) > 1:
        raise DatasetError(f"{name} is prepared as {', '.join(configs)}: name one of these.")
    return max(folders, key=lambda it: [int(n) for n in it.name.split(".")], default=None)


def read_tfds_folder(folder: Path, settings: Settings) -> Raw:
    """The images of a prepared TFDS set. No code that its files name is imported.

    Args:
        folder: Holds `dataset_info.json` and `features.json`, as TFDS 4 writes them.
        settings: As for `read_tfds`.

    Returns:
        The images that the settings ask for.

    Raises:
        DatasetError: If the set is damaged or not of images of one size.
    """
    try:
        info, features = (_json(folder / f"{name}.json") for name in ("dataset_info", "features"))
        counts = {split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]}
        chosen = choose({name: (n, 0) for name, n in counts.items()}, settings, str(folder))
        image, channels = _image_feature(features["featuresDict"]["features"], folder)
        file_format = info.get("fileFormat", "tfrecord")
        if file_format not in RECORDS:
            raise DatasetError(
                f"{folder} must be of the format {' or '.join(RECORDS)}: got {file_format};"
                " prepare it again with tfds.builder(..., file_format='array_record')."
            )
        splits = {}
        for split, name in chosen.names.items():
            paths = _record_files(folder, info, file_format, name)
            size = sum(path.stat().st_size for path in paths)
            if counts[name] > size:
                raise ValueError(f"{counts[name]:,} records cannot be in {size:,} bytes")
            # Without a test split all images are read: which are the test depends on their number.
            most = settings.max_examples if "test" in chosen.names else None
            rows = chosen_rows(counts[name], most, settings.first, split)
            splits[split] = read_images(paths, file_format, image, channels, rows)
        source = f"{folder}[{chosen.label}]"
        return Raw(splits, source, chosen.unused, white=255.0, layout="NHWC")
    except DatasetError:
        raise
    except Exception as error:  # protobuf, Pillow and the readers raise many kinds
        raise DatasetError(
            f"{folder} cannot be read: {reason(error)}; if it is damaged, prepare it again."
        ) from error


def _json(path: Path) -> Any:
    if not path.is_file() or path.stat().st_size > _MAX_JSON:
        raise ValueError(f"{path.name} is no file of at most {_MAX_JSON:,} bytes")
    return json.loads(path.read_bytes())


def _image_feature(features: dict[str, Any], folder: Path) -> tuple[str, int]:
    """The name of the images in a record, and their channels."""
    images = [
        name
        for name in sorted(features)
        if str(features[name]["pythonClassName"]).endswith(".image_feature.Image")
    ]
    chosen = "image" if "image" in images else images[0] if len(images) == 1 else None
    if chosen is None:
        raise DatasetError(
            f"{folder} must have one image in each example: got {', '.join(images) or 'none'} "
            f"among {', '.join(sorted(features))}."
        )
    image = features[chosen]["image"]
    if image["dtype"] != "uint8":
        raise DatasetError(f"{folder} must have 8-bit images: got {image['dtype']}.")
    return chosen, int(image["shape"]["dimensions"][-1])


def _record_files(folder: Path, info: Any, file_format: str, name: str) -> list[Path]:
    """The record files of a split; they lie in the folder, wherever a template or a link points."""
    (split,) = (split for split in info["splits"] if split["name"] == name)
    template = split.get("filepathTemplate", "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}")
    count, paths = len(split["shardLengths"]), []
    for shard in range(count):
        values = {
            "DATASET": info["name"],
            "SPLIT": name,
            "FILEFORMAT": file_format,
            "SHARD_INDEX": f"{shard:05}",
            "NUM_SHARDS": f"{count:05}",
            "SHARD_X_OF_Y": f"{shard:05}-of-{count:05}",
        }
        file = template
        for word, value in values.items():
            file = file.replace(f"{{{word}}}", value)
        path = folder / file
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{file} is not in the folder")
        if not path.is_file():
            raise ValueError(f"{file} is no regular file")
        paths.append(path)
    return paths


def _root(data_dir: str | None) -> Path:
    root = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(os.path.expanduser(root)).absolute()


def _check_known(dataset: str) -> None:
    import tensorflow_datasets as tfds

    match = _NAME.fullmatch(dataset)
    name = match["name"] if match else re.split("[:/]", dataset)[0]
    known = tfds.list_builders(with_community_datasets=False)
    if name in known:
        return
    close = difflib.get_close_matches(name.lower(), [*DATASETS, *known], cutoff=0.65)
    hint = f"did you mean {', '.join(close)}?" if close else "check the spelling."
    raise DatasetError(
        f"no data set is called {dataset!r}{_path_hint(dataset)}: expected {', '.join(DATASETS)}, "
        f"the name of a TFDS set, an .npz or .npy file, or a folder of idx files; {hint}"
    )


def _path_hint(dataset: str) -> str:
    return f" (the path of that name is ./{dataset})" if os.path.exists(dataset) else ""


def _download(dataset: str, root: Path) -> Path:
    import tensorflow_datasets as tfds

    missing = [module for module in _NEEDED if importlib.util.find_spec(module) is None]
    if missing:
        raise DatasetError(
            f"to download {dataset}, {' and '.join(missing)} must be installed: run `{_INSTALL}`, "
            "then the same command again."
        )
    try:
        with contextlib.redirect_stdout(sys.stderr):
            builder = tfds.builder(dataset, data_dir=root, file_format="array_record")
            builder.download_and_prepare()
    except Exception as error:  # the network, checksums and TensorFlow raise many kinds
        raise DatasetError(f"{dataset} could not be downloaded: {reason(error)}.") from error
    return Path(builder.data_dir)
