"""From settings to a data set: read, arranged, scaled, drawn and prepared for the likelihood."""

from pathlib import Path

import numpy as np

from ratedistortion.datasets.arrays import Raw, Splits, chosen_rows, stream, test_rows
from ratedistortion.datasets.columns import from_loaded
from ratedistortion.datasets.dataset import Dataset, arrays_sha256
from ratedistortion.datasets.frames import from_frames
from ratedistortion.datasets.hugging_face import read_hugging_face
from ratedistortion.datasets.idx_files import read_idx_folder
from ratedistortion.datasets.layout import arranged
from ratedistortion.datasets.names import choose
from ratedistortion.datasets.numpy_files import SUFFIXES, read_numpy
from ratedistortion.datasets.preparation import binarisation, prepared, standardised
from ratedistortion.datasets.scale import Facts, decide, facts
from ratedistortion.datasets.sources import DATASETS
from ratedistortion.datasets.stamps import named_path, stamps
from ratedistortion.datasets.tfds import read_tfds, read_tfds_folder
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings
from ratedistortion.settings.memory import PREFIX, kept
from ratedistortion.text import printable

_MAX_LINE = 1000  # characters of the line that describes the data
_MAX_HELD_OUT = 5000  # examples of a validation split that `select best` reads
_FEW_COPIES = 0.01  # share of test examples that may be copies of training examples unmentioned


def load(settings: Settings) -> Dataset:
    """The data set that the settings name, scaled, prepared for the likelihood and checked.

    Args:
        settings: `dataset` is an embedded name (`digits`), a synthetic source (`gaussian:4,1`,
            `bernoulli:0.3,16`, `patterns:16,64,0.05`), an `.npz` or `.npy` file, a folder of idx
            files, a TFDS name such as `mnist`, `mnist:3.0.1` or `name/config`, or `hf:` and what
            the library `datasets` reads.
            A bare word is never a path: for a folder of that name write `./mnist`. All other
            settings of the data, `likelihood`, `levels` and `batch_size` are read too.

    Returns:
        Arrays that depend on these settings and on the files only, and how they were read.

    Raises:
        DatasetError: If the data cannot be found or read, can be read in two ways, or do not suit
            the settings. Its text is one line.
    """
    name = str(settings.dataset)
    before = stamps(settings)
    raw = _read(name, settings)
    layout = settings.layout.upper() if settings.layout else raw.layout
    arrays, axes = arranged(raw.splits, layout, settings.shape, raw.source)
    images = arrays["train"].ndim == 4
    found = {split: facts(array, f"{raw.source}, {split}") for split, array in arrays.items()}
    scale = decide(found, images, raw.white, settings, raw.source)
    rows = _rows(arrays, settings, raw.source)
    chosen = {
        split: _taken(arrays.get(split, arrays["train"]), part) for split, part in rows.items()
    }
    train, test, examples = chosen["train"], chosen["test"], len(chosen["train"])
    if "validation" in chosen:  # behind the training examples, where held-out images are
        held_out = chosen["validation"]
        some = chosen_rows(len(held_out), _MAX_HELD_OUT, False, "held out")
        train = np.concatenate([train, held_out[some]])
    centre = spread = None
    if _to_standardise(found["train"], images, raw.white, settings):
        source, centre, spread = standardised(train, test, examples)
    else:
        (train, factor), (test, _) = (scale.applied(part) for part in (train, test))
        source = Splits(train, test, factor)
    how = binarisation(source, settings)
    measured = prepared(source, how, settings, name)
    if examples < settings.batch_size or min(examples, len(test)) < 2:
        raise DatasetError(
            f"{name} must have at least {settings.batch_size} training examples, one batch, and 2 "
            f"in each split: got {examples} train and {len(test)} test; lower "
            "--batch-size, or raise --max-examples."
        )
    dynamic = how == "dynamic"
    trained = _flat(source.train if dynamic else measured.train)
    splits = {"train": _flat(measured.train)[:examples], "test": _flat(measured.test)}
    if not dynamic and len(trained) == examples:
        splits["train"] = trained
    source = source._replace(train=source.train[:examples])
    words = scale.words
    if spread is not None:
        words = f"{found['train']}, centred and scaled by column for the networks (D is not)"
    ways = [words, axes, "" if how == "none" else f"{how} binarisation", *_notes(raw, source)]
    others = {"probabilities": trained} if trained is not splits["train"] else {}
    if centre is not None and spread is not None:
        others |= {"centre": centre, "spread": spread}
    return Dataset(
        name=name,
        train=trained,
        splits=splits,
        shape=measured.train.shape[1:],
        scale=measured.scale,
        dynamic=dynamic,
        sha256=arrays_sha256(splits | others),
        stamps=before,
        held_out=len(trained) - examples,
        centre=centre,
        spread=spread,
        description=printable(
            f"{raw.source}: {_counted(source)}, {'; '.join(filter(None, ways))}", _MAX_LINE
        ),
    )


def _read(name: str, settings: Settings) -> Raw:
    family, _, specification = name.partition(":")
    if family in DATASETS:
        return DATASETS[family](specification)
    if family == PREFIX:
        return _from_memory(name, settings)
    if family == "hf":
        return read_hugging_face(specification, settings)
    path = named_path(name)
    if path is None:
        return read_tfds(name, settings)
    if path.is_dir():
        if (path / "dataset_info.json").exists():
            return read_tfds_folder(path, settings)
        return read_idx_folder(path, settings.arrays)
    if not path.is_file():  # opening a pipe would wait for ever
        found = "is no regular file" if path.exists() else "is not there"
        raise DatasetError(f"{name} {found}: expected a file or a folder; check the path.")
    if path.suffix.lower() not in SUFFIXES:
        raise DatasetError(f"{name} cannot be read as it is: {_advice(path)}.")
    return read_numpy(path, settings)


def _from_memory(name: str, settings: Settings) -> Raw:
    """The arrays that this program gave as its data set."""
    splits, source = kept(name), "arrays of this program"
    if splits is None:
        raise DatasetError(
            f"{name} are arrays of a Python program: continue from a program that gives"
            " ratedistortion.Settings the same arrays as dataset."
        )
    if all(hasattr(part, "select_dtypes") for part in splits.values()):
        return from_frames(splits, settings, source)
    if not all(isinstance(part, np.ndarray) for part in splits.values()):
        return from_loaded(splits, settings, source)
    shapes = {split: array.shape for split, array in splits.items()}
    chosen = choose(shapes, settings, source)
    used = {split: splits[name] for split, name in chosen.names.items()}
    return Raw(used, f"{source}[{chosen.label}]", chosen.unused)


def _advice(path: Path) -> str:
    """What to do with a file of another format; none is loaded that could run code."""
    suffix, target = path.suffix.lower(), path.with_suffix(".npz").name
    if suffix in (".parquet", ".csv", ".json", ".arrow"):
        return f"give hf:{suffix[1:]}:{path}, which needs `pip install 'ratedistortion[hf]'`"
    if suffix in (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"):
        return f"for a folder of images give hf:imagefolder:{path.parent}"
    read = {
        ".mat": f"import scipy.io; arrays = scipy.io.loadmat({path.name!r})",
        ".h5": f"import h5py; arrays = {{k: v[()] for k, v in h5py.File({path.name!r}).items()}}",
    }
    read[".hdf5"] = read[".h5"]
    if suffix in read:
        keep = "{k: v for k, v in arrays.items() if k[0] != '_'}"
        return (
            f"convert it in Python with `{read[suffix]}; import numpy; numpy.savez({target!r},"
            f" **{keep})`"
        )
    return (
        "expected an .npz or .npy file, a folder of idx files or of a prepared TFDS set, or hf:..;"
        f" else save arrays in Python with `numpy.savez({target!r}, train=..., test=...)`"
    )


def _rows(arrays: dict[str, np.ndarray], settings: Settings, source: str) -> dict[str, np.ndarray]:
    """The row numbers of each split; without a test split, in the array of `train`."""
    if "test" in arrays:
        if settings.test_fraction is not None:
            raise DatasetError(
                f"{source} has a test split: leave out --test-fraction, or name one array with"
                " --arrays train=KEY."
            )
        rows = {split: np.arange(len(array)) for split, array in arrays.items()}
    else:
        rows = test_rows(len(arrays["train"]), settings.test_fraction, source)
    most, first = settings.max_examples, settings.first
    rows = {split: part[chosen_rows(len(part), most, first, split)] for split, part in rows.items()}
    if settings.select == "best" and "validation" not in rows and source not in DATASETS:
        # The last tenth is held out: files are often sorted by class.
        count = len(rows["train"])
        rows["train"] = rows["train"][np.argsort(stream("held out").random(count), kind="stable")]
    return rows


def _to_standardise(train: Facts, images: bool, white: float | None, settings: Settings) -> bool:
    """Whether the networks see vectors centred and scaled: nothing says how large they are."""
    plain = settings.likelihood == "gaussian" and settings.binarize == "none"
    return plain and not (images or train.binary or white is not None or settings.scale)


def _taken(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of an array; the array itself, and no copy, where these are all in order."""
    return array if np.array_equal(rows, np.arange(len(array))) else array[rows]


def _notes(raw: Raw, source: Splits) -> list[str]:
    """What else is worth saying of the data."""
    notes = [f"not used: {', '.join(raw.unused)}"] if raw.unused else []
    if raw.source not in DATASETS:
        known = {hash(row.tobytes()) for row in source.train}  # 64 bits for each
        copies = sum(hash(row.tobytes()) in known for row in source.test)
        if copies > _FEW_COPIES * len(source.test):
            notes.append(f"{copies:,} test examples are copies of training examples")
    return notes


def _counted(source: Splits) -> str:
    counts = f"{len(source.train):,} + {len(source.test):,}"
    if source.train.ndim == 2:
        return f"{counts} vectors of {source.train.shape[1]:,}"
    return f"{counts} images of {' × '.join(map(str, source.train.shape[1:]))}"


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)
