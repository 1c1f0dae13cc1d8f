"""Which of the arrays that have names is which split, and which are labels."""

import itertools
import re
from typing import NamedTuple

from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings

# What stands for each split in the names of arrays.
_WORDS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "valid", "val", "dev"),
}
_PATTERNS = ("{}", "x_{}", "{}_x", "{}_images", "images_{}", "{}_imgs", "{}_data", "data_{}")
_ALONE = ("images", "image", "imgs", "data", "x", "arr_0")  # names of one array that is to be split
_LABELS = re.compile(r"(.*_)?(y|labels?|targets?|class(es)?)(_.*)?", re.IGNORECASE)


class Chosen(NamedTuple):
    """Which arrays are used.

    Attributes:
        names: `train`, and `test` and `validation` where they are used -> name of the array.
        label: How to say it, such as `train, valid as test`.
        unused: The others, each with what it is taken for, or with its number of examples.
    """

    names: dict[str, str]
    label: str
    unused: tuple[str, ...]


def choose(shapes: dict[str, tuple[int, ...]], settings: Settings, source: str) -> Chosen:
    """The arrays of a container that are the data.

    Args:
        shapes: Name -> shape of every array of the container.
        settings: Read are `arrays`, None to go by the names, and `select`: with `best` a
            validation split is used beside a test split.
        source: What to call the container in an error.

    Returns:
        The names by split. Without `test`, the one array is to be split.

    Raises:
        DatasetError: If no name is known, or if two sets of names fit.
    """
    best, asked = settings.select == "best", settings.arrays
    if asked is not None:
        for split, name in asked.items():
            if name not in shapes:
                raise DatasetError(
                    f"{source}: --arrays {split}={name} names no array: got {_listed(shapes)}."
                )
        return _used(asked, shapes, best)
    # Labels have one dimension, or a name that says so.
    arrays = {
        name: shape for name, shape in shapes.items() if len(shape) > 1 and not is_label(name)
    }
    fitting = _fitting(list(arrays))
    if not fitting and len(arrays) == 1:
        fitting = [{"train": name} for name in arrays]
    nameless = len(arrays) > 1 and fitting == [{"train": "arr_0"}]  # numpy.savez(f, a, b)
    if len(fitting) == 1 and not nameless:
        return _used(fitting[0], shapes, best)
    problem = "more than one set of names fits" if len(fitting) > 1 else "no name is known"
    example = next(iter(arrays), "KEY")
    raise DatasetError(
        f"{source}: {problem} among {_listed(shapes)}; say which are the data, such as --arrays"
        f" train={example}" + (f",test={[*arrays][1]}." if len(arrays) > 1 else ".")
    )


def is_label(name: str) -> bool:
    """Whether a name says that its array holds labels.

    Args:
        name: Such as `y_train` or `labels`.
    """
    return _LABELS.fullmatch(name) is not None


def is_label_column(name: str) -> bool:
    """Whether the column of a table holds labels; `acc_y` does not.

    Args:
        name: Such as `label` or `y`.
    """
    return name.lower() in ("y", "label", "labels", "target", "targets", "class", "classes")


def _fitting(names: list[str]) -> list[dict[str, str]]:
    """Every set of names that follows one pattern, but for a set within another one."""
    found = [{"train": name} for name in names if name.lower() in _ALONE]
    for pattern in _PATTERNS:
        each = {
            split: [name for name in names if name.lower() in [pattern.format(w) for w in words]]
            for split, words in _WORDS.items()
        }
        bare = pattern.replace("{}", "").strip("_")
        if each["test"] and not each["train"]:  # images beside test_images
            each["train"] = [name for name in names if name.lower() == bare]
        if each["train"]:
            given = {split: some for split, some in each.items() if some}
            sets = itertools.product(*given.values())  # several where X_train and x_train are there
            found += [dict(zip(given, one, strict=True)) for one in sets]
    return [one for one in found if not any(one.items() < other.items() for other in found)]


def _used(names: dict[str, str], shapes: dict[str, tuple[int, ...]], best: bool) -> Chosen:
    """Validation examples stand in for a test split that is missing, or select parameters."""
    used = {split: names[split] for split in ("train", "test") if split in names}
    label = list(used.values())
    if "test" in used and "validation" in names and best:
        used["validation"] = names["validation"]
        label.append(f"{used['validation']} for --select best")
    if "test" not in used and "validation" in names:
        used["test"] = names["validation"]
        label.append(f"{used['test']} as test")
    unused = tuple(
        f"{name} ({'labels' if len(shape) < 2 or is_label(name) else f'{shape[0]:,}'})"
        for name, shape in shapes.items()
        if name not in used.values()
    )
    return Chosen(used, ", ".join(label), unused)


def _listed(shapes: dict[str, tuple[int, ...]]) -> str:
    some = [
        f"{name} {f'({shape[0]:,})' if shape[1:] == (0,) else shape}"
        for name, shape in list(shapes.items())[:8]
    ]
    return ", ".join(some) + (", ..." if len(shapes) > 8 else "") if some else "none"
