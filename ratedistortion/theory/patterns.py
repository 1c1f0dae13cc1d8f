r"""A source of K patterns whose pixels flip by chance."""

import functools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from ratedistortion.theory.bernoulli import bernoulli_entropy

# Largest K and DIMENSIONS of a source.
MAX_PATTERNS = 10_000
MAX_DIMENSIONS = 5_000
# Largest number of images that the entropy is a mean over.
_MAX_DRAWS = 20_000
# Largest number of multiplications for the entropy, about a second of time.
_MAX_PRODUCTS = 4e9


class Patterns(NamedTuple):
    """The numbers that name a source `patterns:K,DIMENSIONS,FLIP`."""

    count: int
    """K, the number of patterns, which are equally likely."""
    dimensions: int
    """Number of pixels."""
    flip: float
    """Probability that a pixel differs from its pattern, independently of the others."""

    @property
    def noise(self) -> float:
        """Entropy of the flips alone, H(X | pattern) = DIMENSIONS h(FLIP), in nats per image."""
        return self.dimensions * bernoulli_entropy(self.flip)


def parse(specification: str) -> Patterns:
    """Reads the numbers of a source.

    Args:
        specification: `K,DIMENSIONS,FLIP`, for example `16,64,0.05`.

    Returns:
        The three numbers.

    Raises:
        ValueError: If it is not two counts and a probability between 0 and one half, exclusive. At
            one half a pixel would say nothing about its pattern.
    """
    count, dimensions, flip = (float(item) for item in specification.split(","))
    counts = ((count, MAX_PATTERNS), (dimensions, MAX_DIMENSIONS))
    valid = all(1 <= number <= most and number.is_integer() for number, most in counts)
    if not (valid and 0 < flip < 0.5):
        raise ValueError("not K,DIMENSIONS,FLIP")
    return Patterns(int(count), int(dimensions), flip)


def templates(source: Patterns) -> UInt8[np.ndarray, "patterns dimensions"]:
    """The K patterns, whose pixels are fair coin flips from a fixed seed.

    Args:
        source: The source.

    Returns:
        Zeros and ones, always the same; the first patterns do not depend on K.
    """
    random = _stream(f"templates {source.dimensions}").random
    rows = (random(source.dimensions) < 0.5 for _ in range(source.count))
    return np.fromiter(rows, dtype=(np.uint8, source.dimensions), count=source.count)


def draw(source: Patterns, purpose: str, examples: int) -> UInt8[np.ndarray, "examples dimensions"]:
    """Draws images of the source.

    Args:
        source: The source.
        purpose: Seeds the draw: the same purpose gives the same images.
        examples: Number of images.

    Returns:
        Zeros and ones; the first images do not depend on how many are drawn.
    """
    patterns = templates(source)
    which = _stream(f"which {purpose}").integers(source.count, size=examples)
    random = _stream(f"flips {purpose}").random
    images = np.empty((examples, source.dimensions), np.uint8)
    block = max(1, (1 << 18) // source.dimensions)  # vectors drawn at once: 2 MB of random numbers
    for start in range(0, examples, block):
        part = patterns[which[start : start + block]]
        images[start : start + block] = part ^ (random(part.shape) < source.flip)
    return images


@functools.lru_cache(maxsize=8)
def entropy(source: Patterns) -> tuple[float, float]:
    r"""Entropy of the source, from its exact likelihood on a large fixed sample.

    With k the pattern that x came from,
    $$H(X) = H(X \mid k) + H(k) - H(k \mid X)
           = \mathrm{DIMENSIONS}\; h(\mathrm{FLIP}) + \ln K - \mathbb{E}_x H[p(k \mid x)],$$
    where p(k|x) is the softmax over all K log likelihoods. Only the last term is a mean over the
    sample. The mean of -log p(x) has the same expectation and a larger error, because the number
    of flips varies from image to image; here its expectation is exact.

    Args:
        source: The source.

    Returns:
        Nats per image, unbiased, and the standard error. Where patterns lie far apart, every image
        shows its pattern: the last term and the error are 0 and the entropy is exact.
    """
    patterns = templates(source).astype(np.float32)
    draws = int(np.clip(_MAX_PRODUCTS / patterns.size, 200, _MAX_DRAWS))
    images = draw(source, "entropy", draws).astype(np.float32)
    log_odds = math.log(source.flip / (1 - source.flip))
    terms = []
    # Blocks of about two million log likelihoods keep the memory small.
    for block in np.array_split(images, math.ceil(draws * source.count / 2e6)):
        # Whole numbers below 2^24 are exact in float32.
        flips = block.sum(1)[:, None] + patterns.sum(1) - 2 * block @ patterns.T
        log_posterior = log_odds * flips.astype(float)
        log_posterior -= np.max(log_posterior, 1, keepdims=True)
        log_posterior -= np.log(np.exp(log_posterior).sum(1, keepdims=True))
        terms.append(-(np.exp(log_posterior) * log_posterior).sum(1))
    doubt: Float[np.ndarray, " draws"] = np.concatenate(terms)
    error = float(doubt.std(ddof=1)) / math.sqrt(draws)
    return source.noise + math.log(source.count) - float(doubt.mean()), error


def _stream(purpose: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(list(f"patterns {purpose}".encode())))
