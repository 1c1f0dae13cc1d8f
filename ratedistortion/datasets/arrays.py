"""Arrays as readers find them and as models see them, and what is drawn at random."""

from typing import NamedTuple

import numpy as np

from ratedistortion.errors import DatasetError

_NUMBERS_A_BLOCK = 1 << 18  # random float64 numbers drawn at once: 2 MB, which fit a cache


class Raw(NamedTuple):
    """What a reader found, as it is stored: nothing is scaled, turned or drawn yet.

    Attributes:
        splits: `train`, and `test` where the source has one -> array of at least two dimensions.
        source: The file or name, and which of its arrays or splits these are.
        unused: What else was found there, each with its reason or size.
        white: The stored number that a model sees as 1; None where the source does not say it.
        layout: The axes as in `Settings.layout`; None where the source does not say them.
    """

    splits: dict[str, np.ndarray]
    source: str
    unused: tuple[str, ...] = ()
    white: float | None = None
    layout: str | None = None


class Splits(NamedTuple):
    """Train and test examples, (examples, dimensions) or (examples, height, width, channels).

    Both are uint8 or both float32; the value of an entry is stored * scale.
    """

    train: np.ndarray
    test: np.ndarray
    scale: float


def test_rows(examples: int, fraction: float | None, source: str) -> dict[str, np.ndarray]:
    """Which rows of a single array train and which test; they are drawn at random.

    Args:
        examples: How many rows there are.
        fraction: Share of the test; None for a sixth.
        source: What to call the data in an error.

    Returns:
        Split -> row numbers, which depend on the number of rows and the fraction only.

    Raises:
        DatasetError: If a split would be empty.
    """
    count = max(1, examples // 6) if fraction is None else round(examples * fraction)
    if not 0 < count < examples:
        raise DatasetError(
            f"{source}: {examples} examples cannot be split into train and test; give more, or"
            " another --test-fraction."
        )
    order = np.argsort(stream("split").random(examples), kind="stable")
    return {"train": order[count:], "test": order[:count]}


def chosen_rows(examples: int, most: int | None, first: bool, split: str) -> np.ndarray:
    """Which examples of a split are used.

    Args:
        examples: How many there are.
        most: How many are used at most; None for all.
        first: Whether the first ones are used, and not a random choice.
        split: Name of the split; different splits have independent choices.

    Returns:
        Row numbers, ascending. The same ones each time.
    """
    if most is None or most >= examples:
        return np.arange(examples)
    if first:
        return np.arange(most)
    order = np.argsort(stream(f"subset {split}").random(examples), kind="stable")
    return np.sort(order[:most])


def stream(purpose: str) -> np.random.Generator:
    """A generator that gives the same random numbers each time.

    Args:
        purpose: What they are for. Different purposes have independent numbers.
    """
    return np.random.Generator(np.random.PCG64(list(purpose.encode())))


def coin_flips(values: np.ndarray, scale: float, random: np.random.Generator) -> np.ndarray:
    """Zeros and ones, each 1 with probability values * scale, in blocks that spare memory.

    Args:
        values: Of shape (examples, ...).
        scale: Brings the values to [0, 1].
        random: Gives one number for each value, in order. So the flips of an example do not
            depend on how many examples follow.

    Returns:
        uint8, in the shape of the values.
    """
    flips = np.empty(values.shape, np.uint8)
    block = max(1, _NUMBERS_A_BLOCK // values[0].size)
    for start in range(0, len(values), block):
        rows = slice(start, start + block)
        flips[rows] = random.random(values[rows].shape) < values[rows] * scale
    return flips


def reason(error: BaseException) -> str:
    """What an error of another library says, in one line and without its full stop.

    Args:
        error: If it has no text, the name of its class is the reason.
    """
    return str(error).split("\n")[0].rstrip(". ") or type(error).__name__
