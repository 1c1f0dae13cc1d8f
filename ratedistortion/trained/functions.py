"""What the models of a sweep can do: compiled once for all of them, called block by block."""

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.measuring.measurement import coded, rates_of
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.settings import from_mapping, in_todays_terms

# Images that are computed at once; more are computed in blocks of so many.
_BLOCK = 250


class Functions(NamedTuple):
    """What all models of a sweep can do; each is compiled for a number of images."""

    autoencoder: Autoencoder
    encode: Any
    draw: Any
    decode: Any
    sample_prior: Any
    log_likelihood: Any
    negative_elbo: Any


@functools.lru_cache(maxsize=16)
def functions_of(settings: str, shape: tuple[int, ...], spread: bytes | None) -> Functions:
    """The functions of the models of a sweep.

    Args:
        settings: Of the sweep, in JSON.
        shape: Of an image, or of a vector.
        spread: What vectors were divided by, as bytes of float32; None of images.
    """
    units = None if spread is None else np.frombuffer(spread, np.float32)
    own = from_mapping(in_todays_terms(json.loads(settings)), "settings")
    autoencoder = Autoencoder(own, shape, units)

    def encode(model: Any, x: Any) -> Any:
        posterior = autoencoder.encode(model, x)
        return posterior.mean, jnp.exp(posterior.log_scale)

    def draw(model: Any, x: Any, noise: Any) -> Any:
        return autoencoder.draw(model, autoencoder.encode(model, x), noise)

    def negative_elbo(model: Any, x: Any, noise: Any) -> Any:
        posterior, _, log_likelihood = coded(autoencoder, model, x, noise)
        return rates_of(autoencoder, model, posterior, noise)[0] - log_likelihood

    def compiled(function: Callable[..., Any], **options: Any) -> Any:
        @functools.wraps(function)
        def exactly(*inputs: Any) -> Any:
            with jax.default_matmul_precision("highest"):
                return function(*inputs)

        return jax.jit(exactly, **options)

    return Functions(
        autoencoder=autoencoder,
        encode=compiled(encode),
        draw=compiled(draw),
        decode=compiled(autoencoder.decode),
        sample_prior=compiled(autoencoder.sample_prior, static_argnums=2),
        log_likelihood=compiled(autoencoder.log_likelihood),
        negative_elbo=compiled(negative_elbo),
    )


def in_blocks(
    function: Callable[..., Any], model: Any, *arrays: np.ndarray, key: Any = None
) -> Any:
    """A function of a model and of arrays with one row for each image, block by block.

    Args:
        function: One of `Functions`.
        model: Its first argument.
        arrays: The next ones, of equal length.
        key: Its last argument, another for each block; None where it takes none.

    Returns:
        What the function returns for all rows, in NumPy.
    """
    count, parts = len(arrays[0]), []
    size = min(count, _BLOCK)
    for first in range(0, count, size):
        rows: list[Any] = [array[first : first + size] for array in arrays]
        short = size - len(rows[0])
        if short:  # the last block is filled up: another size would be compiled anew
            rows = [np.concatenate([part, part[-1:].repeat(short, axis=0)]) for part in rows]
        if key is not None:
            rows.append(jax.random.fold_in(key, first) if first else key)
        found = function(model, *rows)
        parts.append(jax.tree.map(lambda leaf, s=short: np.asarray(leaf)[: size - s], found))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
