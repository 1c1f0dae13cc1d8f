"""From settings to a data set: read, cut to its first examples, prepared for the likelihood."""

import numpy as np

from ratedistortion.datasets.arrays import Splits
from ratedistortion.datasets.dataset import Dataset, arrays_sha256
from ratedistortion.datasets.idx_files import read_idx_folder
from ratedistortion.datasets.numpy_files import SUFFIXES, read_numpy
from ratedistortion.datasets.preparation import prepared
from ratedistortion.datasets.sources import DATASETS
from ratedistortion.datasets.stamps import named_path, stamps
from ratedistortion.datasets.tfds import read_tfds, read_tfds_folder
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings


def load(settings: Settings) -> Dataset:
    """The data set that the settings name, cut, prepared for the likelihood and checked.

    Args:
        settings: `dataset` is an embedded name (`digits`), a synthetic source (`gaussian:4,1`,
            `bernoulli:0.3,16`, `patterns:16,64,0.05`), an `.npz` or `.npy` file, a folder of idx
            files, or a TFDS name such as `mnist`, `mnist:3.0.1` or `name/config`.
            A bare word is never a path: for a folder of that name write `./mnist`. Also read are
            `data_dir`, `download`, `max_examples` (the first so many of each split), `binarize`,
            `likelihood`, `levels` and `batch_size`.

    Returns:
        Arrays that depend on these settings and on the files only.

    Raises:
        DatasetError: If the data cannot be found or read, or do not suit the settings. Its text
            is one line.
    """
    name = str(settings.dataset)
    before = stamps(settings)
    train, test, scale = _read(name, settings)
    source = Splits(train[: settings.max_examples], test[: settings.max_examples], scale)
    measured = prepared(source, settings, name)
    if len(measured.train) < settings.batch_size or min(map(len, measured[:2])) < 2:
        raise DatasetError(
            f"{name} must have at least {settings.batch_size} training examples, one batch, and 2 "
            f"in each split: got {len(measured.train)} train and {len(measured.test)} test; lower "
            "--batch-size, or raise --max-examples."
        )
    splits = {"train": _flat(measured.train), "test": _flat(measured.test)}
    dynamic = settings.binarize == "dynamic"
    trained = _flat(source.train) if dynamic else splits["train"]
    return Dataset(
        name=name,
        train=trained,
        splits=splits,
        shape=measured.train.shape[1:],
        scale=measured.scale,
        dynamic=dynamic,
        sha256=arrays_sha256(splits | ({"probabilities": trained} if dynamic else {})),
        stamps=before,
    )


def _read(name: str, settings: Settings) -> Splits:
    family, _, specification = name.partition(":")
    if family in DATASETS:
        return DATASETS[family](specification)
    path = named_path(name)
    if path is None:
        return read_tfds(name, settings.data_dir, settings.download, settings.max_examples)
    if path.is_dir():
        if (path / "dataset_info.json").exists():
            return read_tfds_folder(path, settings.max_examples)
        return read_idx_folder(path)
    if not path.is_file():  # opening a pipe would wait for ever
        found = "is no regular file" if path.exists() else "is not there"
        raise DatasetError(f"{name} {found}: expected a file or a folder; check the path.")
    if path.suffix not in SUFFIXES:
        raise DatasetError(
            f"{name} must be an .npz or .npy file, or a folder of idx files or of a prepared TFDS "
            f"set: got {path.suffix or 'a file without suffix'}."
        )
    return read_numpy(path)


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)
