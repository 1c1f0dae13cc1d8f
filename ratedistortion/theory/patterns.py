r"""A source with meaning: one of K patterns, and pixels that flip by chance."""

import functools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from ratedistortion.theory.hamming import bernoulli_entropy

MOST_PATTERNS = 10_000
MOST_DIMENSIONS = 5_000
_DRAWS = 20_000
_PRODUCTS = 4e9  # multiplications that the entropy may take: about a second


class Patterns(NamedTuple):
    """The numbers that name a source `patterns:K,DIMENSIONS,FLIP`."""

    count: int
    """K, patterns, all equally likely."""
    dimensions: int
    """Pixels."""
    flip: float
    """Probability that a pixel differs from its pattern's, each on its own."""

    @property
    def noise(self) -> float:
        """H(X | pattern), in nats: what the flips alone carry, DIMENSIONS h(FLIP)."""
        return self.dimensions * bernoulli_entropy(self.flip)


def parse(specification: str) -> Patterns:
    """Reads `K,DIMENSIONS,FLIP`.

    Raises:
        ValueError: If it is not two counts and a probability between 0 and one half. At one half
            no pixel says anything of its pattern.
    """
    count, dimensions, flip = (float(item) for item in specification.split(","))
    counts = ((count, MOST_PATTERNS), (dimensions, MOST_DIMENSIONS))
    valid = all(1 <= number <= most and number.is_integer() for number, most in counts)
    if not (valid and 0 < flip < 0.5):
        raise ValueError("not K,DIMENSIONS,FLIP")
    return Patterns(int(count), int(dimensions), flip)


def templates(source: Patterns) -> UInt8[np.ndarray, "patterns dimensions"]:
    """The K patterns: fair coin flips, always the same; the first ones do not depend on K."""
    random = _stream(f"templates {source.dimensions}").random
    rows = (random(source.dimensions) < 0.5 for _ in range(source.count))
    return np.fromiter(rows, dtype=(np.uint8, source.dimensions), count=source.count)


def draw(source: Patterns, purpose: str, examples: int) -> UInt8[np.ndarray, "examples dimensions"]:
    """So many vectors, the same ones for a purpose; the first ones do not depend on how many."""
    patterns = templates(source)
    which = _stream(f"which {purpose}").integers(source.count, size=examples)
    random = _stream(f"flips {purpose}").random
    # Row by row: the whole in float64 would take eight times the memory of the result.
    rows = (patterns[k] ^ (random(source.dimensions) < source.flip) for k in which)
    return np.fromiter(rows, dtype=(np.uint8, source.dimensions), count=examples)


@functools.lru_cache(maxsize=8)
def entropy(source: Patterns) -> tuple[float, float]:
    r"""Entropy of the source, from its exact likelihood on a large fixed sample.

    With k the pattern that x came from,
    $$H(X) = H(X \mid k) + H(k) - H(k \mid X)
           = \mathrm{DIMENSIONS}\; h(\mathrm{FLIP}) + \ln K - \mathbb{E}_x H[p(k \mid x)],$$
    where p(k|x) is the softmax over all K log likelihoods. Only the last term is a mean over the
    sample. The mean of -log p(x) itself has the same expectation and a larger error: it carries
    the chance in the number of flips, which is known here.

    Returns:
        Nats per image, unbiased, and the standard error. Where patterns lie far apart a pattern
        can be told from its image: both terms that are left are exact and the error is 0.
    """
    patterns = templates(source).astype(np.float32)
    draws = int(np.clip(_PRODUCTS / patterns.size, 200, _DRAWS))
    images = draw(source, "entropy", draws).astype(np.float32)
    log_odds = math.log(source.flip / (1 - source.flip))
    terms = []
    for block in np.array_split(images, math.ceil(draws * source.count / 2e6)):
        # Whole numbers below 2^24: exact in float32.
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
