"""Data sets that need no files of the user: the embedded digits and the synthetic sources."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ratedistortion.datasets.arrays import Raw, coin_flips, stream
from ratedistortion.errors import DatasetError
from ratedistortion.theory import patterns as pattern_source

# Examples of each split of a synthetic source. So many, because N samples of a Gaussian leave a
# KL(q(z) || p(z)) of order 1/N, where the source itself has 0.
_EXAMPLES = {"train": 200_000, "test": 200_000}
_MAX_DIMENSIONS = 5_000  # of a Bernoulli vector: 1 GB a split
_DIGITS = Path(__file__).with_name("digits.npz")


def digits(specification: str) -> Raw:
    """Handwritten digits: 1498 train and 299 test images of 8x8 pixels, grey levels 0 to 16.

    Args:
        specification: Must be empty.

    Raises:
        DatasetError: If the specification is not empty.

    Source: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI, 1998, its test
    set. CC BY 4.0; see digits_LICENSE.txt.
    """
    if specification:
        raise DatasetError(f"digits takes nothing after its name: got 'digits:{specification}'.")
    with np.load(_DIGITS, allow_pickle=False) as file:
        return Raw({"train": file["images"]}, "digits", white=16.0)


def gaussian(specification: str) -> Raw:
    """Vectors of independent coordinates from N(0, variance): `gaussian:4,1,0.25`.

    The rate-distortion function of this source is known: reverse water-filling.

    Args:
        specification: The variances, with commas between them: one for each dimension.

    Returns:
        200,000 train and 200,000 test vectors in float32, the same ones each time.

    Raises:
        DatasetError: If a variance is no number in 1e-30 to 1e30.

    Source: Cover and Thomas, "Elements of information theory", 2006, theorem 10.3.3.
    """
    variances = _numbers(specification)
    if not variances or not all(1e-30 <= variance <= 1e30 for variance in variances):
        raise DatasetError(
            "gaussian must be given variances above 0 (1e-30 to 1e30), such as gaussian:4,1,0.25: "
            f"got 'gaussian:{specification}'."
        )

    def draw(name: str, examples: int) -> np.ndarray:
        normal = stream(f"gaussian {name}").standard_normal((examples, len(variances)))
        return (normal * np.sqrt(variances)).astype(np.float32)

    return _drawn("gaussian", draw)


def bernoulli(specification: str) -> Raw:
    """Vectors of independent pixels that are 1 with probability P: `bernoulli:P,DIMENSIONS`.

    The rate-distortion function of this source under Hamming distortion is known: h(P) - h(D) per
    pixel, with h the entropy of a coin.

    Args:
        specification: The probability and the number of dimensions, such as `0.3,16`.

    Returns:
        200,000 train and 200,000 test vectors of zeros and ones, the same ones each time.

    Raises:
        DatasetError: If the probability is not between 0 and 1, or the number of dimensions is
            not a whole number from 1 to 5000.

    Source: Cover and Thomas, "Elements of information theory", 2006, theorem 10.3.1.
    """
    numbers = _numbers(specification)
    valid = len(numbers) == 2 and 0 < numbers[0] < 1 and numbers[1].is_integer()
    if not valid or not 1 <= numbers[1] <= _MAX_DIMENSIONS:
        raise DatasetError(
            "bernoulli must be given a probability between 0 and 1 and a number of dimensions up "
            f"to {_MAX_DIMENSIONS}, such as bernoulli:0.3,16: got 'bernoulli:{specification}'."
        )

    def draw(name: str, examples: int) -> np.ndarray:
        probabilities = np.broadcast_to(numbers[0], (examples, int(numbers[1])))
        return coin_flips(probabilities, 1.0, stream(f"bernoulli {name}"))

    return _drawn("bernoulli", draw)


def patterns(specification: str) -> Raw:
    """One of K fixed patterns with some pixels flipped: `patterns:K,DIMENSIONS,FLIP`.

    All K patterns are equally likely. The pattern is the meaning of a vector, log K nats; the
    flips are noise. The entropy of this source is known.

    Args:
        specification: The number of patterns, the number of dimensions and the probability that
            a pixel flips, such as `16,64,0.05`.

    Returns:
        200,000 train and 200,000 test vectors of zeros and ones, the same ones each time. Both
        splits have the same patterns. At most 1 GB a split.

    Raises:
        DatasetError: If the specification is not two counts and a probability below one half.
    """
    try:
        source = pattern_source.parse(specification)
    except ValueError as error:
        raise DatasetError(
            "patterns must be given a number of patterns up to "
            f"{pattern_source.MAX_PATTERNS}, of dimensions up to "
            f"{pattern_source.MAX_DIMENSIONS}, and a probability above 0 and below 0.5 that a "
            f"pixel flips, such as patterns:16,64,0.05: got 'patterns:{specification}'."
        ) from error
    return _drawn("patterns", functools.partial(pattern_source.draw, source))


def _drawn(source: str, draw: Callable[[str, int], np.ndarray]) -> Raw:
    splits = {name: draw(name, examples) for name, examples in _EXAMPLES.items()}
    return Raw(splits, source, white=1.0, layout="ND")


def _numbers(specification: str) -> list[float]:
    try:
        return [float(item) for item in specification.split(",")]
    except ValueError:
        return []


# Name -> the function that reads the specification: the text after the colon, "" without one.
DATASETS = {"digits": digits, "gaussian": gaussian, "bernoulli": bernoulli, "patterns": patterns}
