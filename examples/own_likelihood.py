"""A likelihood of your own: Poisson, for counts such as words in a text or reads of a gene.

    rd-sweep RUN_DIR --dataset COUNTS.npz --likelihood examples/own_likelihood.py:poisson

is enough to use it; `python examples/own_likelihood.py` makes counts of 30 words in 3,000 texts of
three topics, sweeps them, and prints the table.

Running time: about a minute on two CPU cores.
Expect: -ELBO is lowest at beta 1, 47 nats, and 55 at beta 30, where the code tells nothing.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

import ratedistortion as rd
from ratedistortion.models.likelihoods import Likelihood, LinearOutputs


def poisson(settings: rd.Settings) -> Likelihood:
    """Counts x of rate r = log(1 + e^l), l from the decoder: log p(x|z) sums x log r - r - log x!.

    The rate is linear in l where it is large. With r = e^l, a prediction that is linear in large
    counts would become a rate beyond all bounds.
    """

    def rate(outputs: jax.Array) -> jax.Array:
        return jax.nn.softplus(outputs[..., 0]) + 1e-6  # above 0, whatever a decoder gives

    def log_density(x: jax.Array, outputs: jax.Array) -> jax.Array:
        r = rate(outputs)
        return jnp.sum(x * jnp.log(r) - r - gammaln(x + 1), axis=-1)

    def sample(key: jax.Array, outputs: jax.Array) -> jax.Array:
        return jax.random.poisson(key, rate(outputs)).astype(jnp.float32)

    def linear(average: jax.Array) -> LinearOutputs:
        # The inverse of the rate at the mean of each count; its variance is its mean.
        inside = jnp.maximum(average, 1e-2)
        bias = inside + jnp.log(-jnp.expm1(-inside))
        return LinearOutputs(jnp.ones(1, jnp.float32), bias[:, None], jnp.mean(inside))

    return Likelihood(
        outputs=1,
        log_density=log_density,
        mean=rate,
        sample=sample,
        linear=linear,
        least=0.0,
        accepts=lambda x: (x >= 0) & (x == np.round(x)),
        needs="whole numbers of at least 0",
    )


def counts(examples: int, words: int = 30, topics: int = 3) -> dict[str, np.ndarray]:
    """Texts whose rates of words are mixtures of topics."""
    random = np.random.default_rng(0)
    rates = random.gamma(0.5, 4.0, (topics, words))
    texts = random.dirichlet(np.full(topics, 0.5), examples)
    drawn = random.poisson(texts @ rates)
    return {"train": drawn[: examples * 5 // 6], "test": drawn[examples * 5 // 6 :]}


def main(folder: Path, examples: int = 3000, **values: Any) -> None:
    """Makes the counts, sweeps them, and prints the rows of the test split."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "counts.npz", **counts(examples))
    settings = rd.Settings(
        dataset=str(folder / "counts.npz"), likelihood=f"{__file__}:poisson", **values
    )
    table = rd.sweep(settings, folder / "sweep")
    print(table[table["split"] == "test"][["beta", "rate", "distortion", "negative_elbo"]])


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["runs/own_likelihood"]), betas=(0.3, 1.0, 3.0, 30.0), latents=8)
