"""Arrays that a Python program gives as its data set: settings hold their name, not the arrays."""

import hashlib
import importlib
from typing import Any

PREFIX = "memory"
# Name -> the splits as they were given. They live as long as the program does.
_KEPT: dict[str, dict[str, Any]] = {}


def keep(data: Any) -> str:
    """Keeps arrays under a name that is made of their content.

    Args:
        data: An array, a pandas DataFrame, a set of Hugging Face's `datasets`, (train, test), or a
            mapping of `train` and, if there are, `test` and `validation` to these.

    Returns:
        The name, `memory:` and hexadecimal digits: the same for the same arrays.

    Raises:
        TypeError: If it is none of these.
    """
    import numpy as np

    splits: dict[str, Any] = data if isinstance(data, dict) else {"train": data}
    if isinstance(data, tuple) and len(data) == 2:
        splits = dict(zip(("train", "test"), data, strict=True))
    digest, kept_splits = hashlib.sha256(), {}
    for split, values in splits.items():
        digest.update(f"{split} ".encode())
        if type(values).__module__.startswith("datasets."):  # its fingerprint is of its content
            if not hasattr(values, "_fingerprint"):
                raise TypeError(f"{split} is a stream")
            kept_splits[str(split)] = values
            digest.update(f"{values._fingerprint}\n".encode())
        elif hasattr(values, "select_dtypes"):
            hashed: Any = importlib.import_module("pandas.util").hash_pandas_object(values, False)
            kept_splits[str(split)] = values.copy()
            digest.update(f"{list(values.columns)}\n".encode())
            digest.update(hashed.to_numpy().data)
        else:
            if isinstance(values, np.ma.MaskedArray):
                raise TypeError(f"{split} is masked; fill it first")
            array = np.array(values)  # a copy: the program may change its own
            if array.dtype.kind not in "buif" or array.ndim == 0:
                raise TypeError(f"{split} holds {array.dtype}")
            kept_splits[str(split)] = array
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    if len({type(values) for values in kept_splits.values()}) > 1:
        raise TypeError("its splits are of different types")
    name = f"{PREFIX}:{digest.hexdigest()[:16]}"
    _KEPT[name] = kept_splits
    return name


def kept(name: str) -> dict[str, Any] | None:
    """The arrays of a name.

    Args:
        name: From `keep`.

    Returns:
        Split -> array, or set of Hugging Face's; None where this program never had them.
    """
    return _KEPT.get(name)
