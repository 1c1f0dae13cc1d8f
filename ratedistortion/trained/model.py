"""A model that a sweep has kept, for programs that use it: NumPy in, NumPy out."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.datasets.dataset import as_models_see, in_own_units
from ratedistortion.errors import DatasetError, SettingsError
from ratedistortion.foreign import are_numbers, as_numpy
from ratedistortion.measuring.measurement import coded, keys_of, rates_of
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.models.families import own_options
from ratedistortion.models.parameters import filled
from ratedistortion.run_directory.model_files import read_model
from ratedistortion.settings import LEVELLED, from_mapping, in_todays_terms
from ratedistortion.untrusted import damaged

# Images that are computed at once; more are computed in blocks of so many.
_BLOCK = 250
_ROUNDING = 1e-5  # by which values may miss a grey level


class TrainedModel:
    """Encoder, decoder and prior of one run, with the parameters that its rows were measured with.

    Images are arrays (N, *shape) in the units that D is measured in: images divided as the line
    `data` says, so that they mostly lie in 0 to 1, and vectors in their own units. Codes are arrays
    (N, latents). All arrays that are returned are NumPy's. A function is compiled when it first
    meets a number of images; more than 250 are computed in blocks. The models of one sweep share
    what is compiled.

    Args:
        path: The model file, for errors.
        parameters: Name -> array, as it holds them.
        facts: What it says of itself.

    Attributes:
        beta: Weight of the rate, given or found.
        seed: Of the run.
        target_rate: Rate that was asked for, in nats; None where a beta was.
        settings: Of the sweep.
        shape: Of an image, or of a vector.
        latents: Dimensions of a code.
        data: The line that says what the sweep read, and how it was scaled.
        parameters: Name -> array, all that the file has. Names are explained in the guide to the
            models.

    Raises:
        RunDirectoryError: If parameters and facts do not fit together.
    """

    def __init__(
        self, path: Path, parameters: dict[str, np.ndarray], facts: Mapping[str, Any]
    ) -> None:
        remedy = "restore it, or load it with the version that made it"
        self.parameters = parameters
        self._centre, self._spread = (parameters.get(f"data.{n}") for n in ("centre", "spread"))
        try:
            self.settings = from_mapping(in_todays_terms(facts["settings"]), "settings")
            self.beta, self.seed = float(facts["beta"]), int(facts["seed"])
            target = facts["target_rate"]
            self.target_rate = None if target is None else float(target)
            self.shape = tuple(int(size) for size in facts["shape"])
            self.data, (self._low, self._high) = str(facts["data"]), facts["range"]
            spread = None
            if self._spread is not None:
                spread = self._spread.tobytes()
                if self._spread.shape != self.shape:
                    raise ValueError(f"data.spread is not of shape {self.shape}")
            self._does = _functions(json.dumps(facts["settings"]), self.shape, spread)
            shapes = jax.eval_shape(self._does.autoencoder.build, jax.random.key(0))
            self._model = jax.device_put(filled(shapes, parameters))
        except (KeyError, TypeError, ValueError, SettingsError) as error:
            own = own_options(self.settings) if hasattr(self, "settings") else ""
            if own and isinstance(error, SettingsError):
                raise SettingsError(
                    f"{path}: {error} In Python, rd.Settings(...) with it comes before rd.load."
                ) from error
            raise damaged(path, error, remedy) from error
        self.latents = self._does.autoencoder.latents

    def __repr__(self) -> str:
        asked = f"beta={self.beta:g}"
        if self.target_rate is not None:
            asked += f", target_rate={self.target_rate:g}"
        return f"<TrainedModel {asked}, seed={self.seed}, {self.latents} latents, x {self.shape}>"

    def encode(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the Gaussian q(z|x) of every image.

        Args:
            x: Images (N, *shape).

        Returns:
            Two arrays (N, latents). Of an encoder with a flow (`iaf`) they are those of the
            Gaussian that the flow starts from: `draw` goes through it.
        """
        return self._in_blocks(self._does.encode, self._images(x))

    def draw(self, x: Any, key: int = 0) -> np.ndarray:
        """One code of every image, from q(z|x).

        Args:
            x: Images (N, *shape).
            key: Seed of the draws.

        Returns:
            Codes (N, latents). With the seed of the run, and all images of a split, those that the
            sweep measured.
        """
        x = self._images(x)
        return self._in_blocks(self._does.draw, x, self._noise(key, len(x)))

    def decode(self, z: Any, key: int = 0) -> np.ndarray:
        """An image for every code.

        Args:
            z: Codes (N, latents).
            key: Seed of the draw where the decoder is autoregressive; else it is not used.

        Returns:
            E[x|z], (N, *shape), or a draw from p(x|z) where pixels depend on one another.
        """
        return self._decoded(self._codes(z), jax.random.split(_key(key), 3)[1])

    def sample(self, n: int, key: int = 0) -> np.ndarray:
        """Images whose codes are drawn from the prior.

        Args:
            n: How many.
            key: Seed of all draws. With that of the run, the first ten are those of the gallery.

        Returns:
            As of `decode`.
        """
        if not isinstance(n, int | np.integer) or n < 1:
            raise SettingsError(f"n must be a whole number of at least 1: got {n!r}.")
        keys = jax.random.split(_key(key), 3)
        z = np.asarray(self._does.sample_prior(self._model, keys[0], int(n)))
        return self._decoded(z, keys[2])

    def reconstruct(self, x: Any, key: int = 0) -> np.ndarray:
        """The images that the middle of every posterior is decoded to.

        Args:
            x: Images (N, *shape).
            key: As for `decode`.

        Returns:
            As of `decode`; with the seed of the run those of the gallery.
        """
        x = self._images(x)
        z = self._in_blocks(self._does.draw, x, np.zeros((len(x), self.latents), np.float32))
        return self.decode(z, key)

    def log_likelihood(self, x: Any, z: Any) -> np.ndarray:
        """log p(x|z) of every image and its code.

        Args:
            x: Images (N, *shape), of values that the likelihood knows.
            z: Codes (N, latents).

        Returns:
            Nats, (N,), of vectors in their own units.
        """
        x, z = self._images(x, measured=True), self._codes(z)
        if len(x) != len(z):
            raise SettingsError(f"x and z must be as many: got {len(x)} images, {len(z)} codes.")
        return self._in_blocks(self._does.log_likelihood, x, z)

    def negative_elbo(self, x: Any, key: int = 0) -> np.ndarray:
        """R + D of every image, by one code: an upper bound of -log p(x) on average over codes.

        R is KL(q(z|x) || p(z)) in closed form where there is one, else by the same code.

        Args:
            x: Images (N, *shape), of values that the likelihood knows.
            key: Seed of the codes, as for `draw`. With that of the run, and all images of a split,
                the mean is the table's `negative_elbo`, but for the best of its two estimates of R.

        Returns:
            Nats, (N,), float64.
        """
        x = self._images(x, measured=True)
        noise = self._noise(key, len(x))
        with jax.enable_x64(True):
            return self._in_blocks(self._does.negative_elbo, x, noise)

    def _images(self, x: Any, measured: bool = False) -> np.ndarray:
        """Images as models see them, flat and checked."""
        expected = f"x must be numbers of shape (N, {', '.join(map(str, self.shape))})"
        try:
            x = as_numpy(x)
        except ValueError as error:
            raise DatasetError(f"{expected}: got {error}.") from error
        shapes = [self.shape] + [self.shape[:-1]] * (len(self.shape) == 3 and self.shape[2] == 1)
        if not are_numbers(x) or x.ndim == 0 or x.shape[1:] not in shapes or len(x) == 0:
            raise DatasetError(f"{expected}: got {x.dtype} of shape {x.shape}.")
        x = x.reshape(len(x), -1)
        if x.dtype.kind == "V":  # float32 holds bfloat16 and the like exactly
            x = x.astype(np.float32)
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise DatasetError(
                f"x must be finite: got nan or inf, first in row"
                f" {int(np.isfinite(x).all(axis=1).argmin())}."
            )
        likelihood, (low, high) = self.settings.likelihood, (x.min(), x.max())
        unit = self._spread is None and -_ROUNDING <= self._low and self._high <= 1 + _ROUNDING
        if unit and (len(self.shape) == 3 or likelihood != "gaussian"):
            if not (-_ROUNDING <= low and high <= 1 + _ROUNDING):
                raise DatasetError(
                    f"x must lie in 0 to 1, as the model was trained on {self.data}: got {low:g} to"
                    f" {high:g}; divide it likewise."
                )
        steps = {"bernoulli": 1, **dict.fromkeys(LEVELLED, self.settings.levels - 1)}
        if measured and likelihood in steps:
            levels = x * np.float64(steps[likelihood])
            if np.abs(levels - np.rint(levels)).max() > _ROUNDING * steps[likelihood]:
                raise DatasetError(
                    f"x must be multiples of 1/{steps[likelihood]} for the {likelihood} likelihood:"
                    " binarise it or cut its grey levels as the sweep did."
                )
        return as_models_see(x, self._centre, self._spread)

    def _codes(self, z: Any) -> np.ndarray:
        expected = f"z must be numbers of shape (N, {self.latents})"
        try:
            z = as_numpy(z)
        except ValueError as error:
            raise SettingsError(f"{expected}: got {error}.") from error
        if not are_numbers(z) or z.shape[1:] != (self.latents,) or len(z) == 0:
            raise SettingsError(f"{expected}: got {z.dtype} of shape {z.shape}.")
        z = z.astype(np.float32)
        if not np.isfinite(z).all():
            code = int(np.argmin(np.isfinite(z).all(axis=1)))
            raise SettingsError(f"z must be finite: code {code} (from 0) is not.")
        return z

    def _noise(self, key: int, count: int) -> np.ndarray:
        """The noise that the codes of a split are measured with."""
        _key(key)
        shape = count, self.latents
        return np.asarray(jax.random.normal(keys_of(key, count)[0], shape, jnp.float32))

    def _decoded(self, z: np.ndarray, key: Any) -> np.ndarray:
        images = self._in_blocks(self._does.decode, z, key=key)
        images = in_own_units(images, self._centre, self._spread)
        return images.reshape(-1, *self.shape)

    def _in_blocks(self, function: Callable[..., Any], *arrays: np.ndarray, key: Any = None) -> Any:
        """A function of the model and of arrays with one row for each image, block by block."""
        count, parts = len(arrays[0]), []
        size = min(count, _BLOCK)
        for first in range(0, count, size):
            rows: list[Any] = [array[first : first + size] for array in arrays]
            short = size - len(rows[0])
            if short:  # the last block is filled up: another size would be compiled anew
                rows = [np.concatenate([part, part[-1:].repeat(short, axis=0)]) for part in rows]
            if key is not None:
                rows.append(jax.random.fold_in(key, first) if first else key)
            found = function(self._model, *rows)
            parts.append(jax.tree.map(lambda leaf, s=short: np.asarray(leaf)[: size - s], found))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def load(path: Path, written: str | None) -> TrainedModel:
    """A model of a run directory, or of a file alone.

    Args:
        path: The model file.
        written: The SHA-256 that it must have; None where nobody knows it.

    Raises:
        RunDirectoryError: If it is missing, damaged, or no model file of a sweep.
    """
    parameters, facts = read_model(path, written, "restore it")
    return TrainedModel(path, parameters, facts)


class _Functions(NamedTuple):
    """What all models of a sweep can do; each is compiled for a number of images."""

    autoencoder: Autoencoder
    encode: Any
    draw: Any
    decode: Any
    sample_prior: Any
    log_likelihood: Any
    negative_elbo: Any


@functools.lru_cache(maxsize=16)
def _functions(settings: str, shape: tuple[int, ...], spread: bytes | None) -> _Functions:
    """The functions of the models with these settings, whose vectors were divided by `spread`."""
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

    return _Functions(
        autoencoder=autoencoder,
        encode=compiled(encode),
        draw=compiled(draw),
        decode=compiled(autoencoder.decode),
        sample_prior=compiled(autoencoder.sample_prior, static_argnums=2),
        log_likelihood=compiled(autoencoder.log_likelihood),
        negative_elbo=compiled(negative_elbo),
    )


def _key(seed: Any) -> Any:
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 1 << 32:  # a larger one would be taken for a smaller one
        raise SettingsError(f"key must be a whole number from 0 to 2^32 - 1: got {seed!r}.")
    return jax.random.key(seed, impl="threefry2x32")
