"""A model that a sweep has kept, for programs that use it: NumPy in, NumPy out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.datasets.dataset import in_own_units
from ratedistortion.errors import SettingsError
from ratedistortion.measuring.measurement import keys_of
from ratedistortion.models.families import own_options
from ratedistortion.models.parameters import filled
from ratedistortion.run_directory.model_files import read_model
from ratedistortion.settings import from_mapping, in_todays_terms
from ratedistortion.trained.functions import functions_of, in_blocks
from ratedistortion.trained.inputs import Inputs, key_of
from ratedistortion.untrusted import damaged


class TrainedModel:
    """Encoder, decoder and prior of one run, with the parameters that its rows were measured with.

    Images are arrays (N, *shape) in the units that D is measured in: images divided as the line
    `data` says, so that they mostly lie in 0 to 1, and vectors in their own units. Codes are arrays
    (N, latents). All arrays that are returned are NumPy's. A function is compiled when it first
    meets a number of images; more than 250 are computed in blocks. The models of one sweep share
    what is compiled. What a function cannot use it refuses: images with a `DatasetError`, codes,
    keys and counts with a `SettingsError`.

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
        centre, spread = (parameters.get(f"data.{name}") for name in ("centre", "spread"))
        try:
            self.settings = from_mapping(in_todays_terms(facts["settings"]), "settings")
            self.beta, self.seed = float(facts["beta"]), int(facts["seed"])
            target = facts["target_rate"]
            self.target_rate = None if target is None else float(target)
            self.shape = tuple(int(size) for size in facts["shape"])
            self.data, (low, high) = str(facts["data"]), facts["range"]
            if spread is not None and spread.shape != self.shape:
                raise ValueError(f"data.spread is not of shape {self.shape}")
            units = None if spread is None else spread.tobytes()
            self._does = functions_of(json.dumps(facts["settings"]), self.shape, units)
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
        self._inputs = Inputs(
            self.settings, self.shape, self.latents, self.data, (low, high), centre, spread
        )

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
        return in_blocks(self._does.encode, self._model, self._inputs.images(x))

    def draw(self, x: Any, key: int = 0) -> np.ndarray:
        """One code of every image, from q(z|x).

        Args:
            x: Images (N, *shape).
            key: Seed of the draws.

        Returns:
            Codes (N, latents). With the seed of the run, and all images of a split, those that the
            sweep measured.
        """
        x = self._inputs.images(x)
        return in_blocks(self._does.draw, self._model, x, self._noise(key, len(x)))

    def decode(self, z: Any, key: int = 0) -> np.ndarray:
        """An image for every code.

        Args:
            z: Codes (N, latents).
            key: Seed of the draw where the decoder is autoregressive; else it is not used.

        Returns:
            E[x|z], (N, *shape), or a draw from p(x|z) where pixels depend on one another.
        """
        return self._decoded(self._inputs.codes(z), jax.random.split(key_of(key), 3)[1])

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
        keys = jax.random.split(key_of(key), 3)
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
        x = self._inputs.images(x)
        z = in_blocks(self._does.draw, self._model, x, np.zeros((len(x), self.latents), np.float32))
        return self.decode(z, key)

    def log_likelihood(self, x: Any, z: Any) -> np.ndarray:
        """log p(x|z) of every image and its code.

        Args:
            x: Images (N, *shape), of values that the likelihood knows.
            z: Codes (N, latents).

        Returns:
            Nats, (N,), of vectors in their own units.
        """
        x, z = self._inputs.images(x, measured=True), self._inputs.codes(z)
        if len(x) != len(z):
            raise SettingsError(f"x and z must be as many: got {len(x)} images, {len(z)} codes.")
        return in_blocks(self._does.log_likelihood, self._model, x, z)

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
        x = self._inputs.images(x, measured=True)
        noise = self._noise(key, len(x))
        with jax.enable_x64(True):
            return in_blocks(self._does.negative_elbo, self._model, x, noise)

    def _noise(self, key: int, count: int) -> np.ndarray:
        """The noise that the codes of a split are measured with."""
        key_of(key)
        shape = count, self.latents
        return np.asarray(jax.random.normal(keys_of(key, count)[0], shape, jnp.float32))

    def _decoded(self, z: np.ndarray, key: Any) -> np.ndarray:
        images = in_blocks(self._does.decode, self._model, z, key=key)
        images = in_own_units(images, self._inputs.centre, self._inputs.spread)
        return images.reshape(-1, *self.shape)


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
