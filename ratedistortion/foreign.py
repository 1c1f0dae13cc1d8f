"""Arrays of other libraries in NumPy, with kinds of numbers that it lacks, such as bfloat16."""

from typing import Any

import numpy as np

from ratedistortion.text import printable


def as_numpy(value: Any) -> np.ndarray:
    """An array of any library, lists or a scalar as an array of NumPy's.

    Args:
        value: Of NumPy, JAX, torch or another library whose arrays NumPy takes.

    Raises:
        ValueError: If NumPy does not take it; the text says what was got.
    """
    try:
        return np.asarray(value)
    except Exception as error:  # of a library that we do not know
        text = printable(str(error)).rstrip(".")
        got = f"a {type(value).__name__} ({text})"
        if "inhomogeneous" in text:
            got = "parts of different shapes"
        elif "ScalarType" in text:  # torch has bfloat16, and NumPy does not
            got = f"{value.dtype}, which NumPy does not know: call .float() of it"
        raise ValueError(got) from error


def are_numbers(array: np.ndarray) -> bool:
    """Whether an array holds real numbers: of NumPy's kinds, or of JAX's such as bfloat16.

    Args:
        array: Of any kind.
    """
    return np.can_cast(array.dtype, np.float64, "same_kind")
