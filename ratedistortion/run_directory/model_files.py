"""Parameters of a model in a file of the format safetensors, which other programs read too."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from ratedistortion.run_directory.reading import MODELS
from ratedistortion.run_directory.sealed import read_checked, sha256
from ratedistortion.untrusted import damaged, parse_object

# The one entry of the metadata. The format keeps several in no fixed order, and the same model must
# give the same bytes.
_ENTRY = "ratedistortion"
# The fact that is the SHA-256 of the file without this fact: a file alone can be checked by it.
_SUM = "sha256"


def model_path(path: Path, label: str) -> Path:
    """Where the model of a run is.

    Args:
        path: The run directory.
        label: Of the run.
    """
    return path / MODELS / f"{label}.safetensors"


def pack(parameters: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> bytes:
    """The content of a model file.

    Args:
        parameters: Name -> array.
        facts: What the model is, as JSON can hold it.
    """
    arrays = {name: np.asarray(array) for name, array in parameters.items()}  # numbers too
    return _pack(arrays, {**facts, _SUM: sha256(_pack(arrays, facts))})


def read_model(
    path: Path, written: str | None, remedy: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What a model file holds.

    Args:
        path: The file.
        written: The SHA-256 that the result of its chunk has; None for a file alone.
        remedy: What to do if it is damaged, as the end of a sentence.

    Returns:
        Name -> array, and the facts, as `pack` got them.

    Raises:
        RunDirectoryError: If it is not as the sweep wrote it, or no model file of a sweep.
    """
    data = read_checked(path, written, remedy)
    try:
        parameters = load(data)
        # The library has checked the header by now, but does not give its metadata.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = header["__metadata__"][_ENTRY]
    except Exception as error:  # its own class of errors says no more
        reason = "it has no model of a sweep" if isinstance(error, KeyError) else error
        raise damaged(path, reason, remedy) from error
    values = parse_object(path, facts.encode(), remedy)
    if values.pop(_SUM, None) != sha256(_pack(parameters, values)):
        raise damaged(path, "its SHA-256 differs", remedy)
    return parameters, values


def _pack(arrays: dict[str, np.ndarray], facts: Mapping[str, Any]) -> bytes:
    return save(arrays, {_ENTRY: json.dumps(facts, allow_nan=False)})
