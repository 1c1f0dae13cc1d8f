"""A convolutional decoder whose pixels depend on the pixels before them."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ratedistortion.errors import SettingsError
from ratedistortion.models.interfaces import Shape
from ratedistortion.models.masked import MaskedNetwork
from ratedistortion.models.shapes import Codes, Images, Outputs, Pixels
from ratedistortion.settings import Settings

Places = tuple[tuple[int, int], ...]
# The places that a unit sees, as (rows down, columns right) from its own pixel. There are two kinds
# of units. Units "above" see rows above their pixel, over its whole width; without them, pixels
# to the upper right would never be seen. Units "beside" see pixels to the left in the same row.
_FIRST_ABOVE = tuple((-i, j) for i in (3, 2, 1) for j in range(-3, 4))
_ABOVE = tuple((-i, j) for i in (1, 0) for j in (-1, 0, 1))
_FIRST_BESIDE = ((0, -3), (0, -2), (0, -1))
_BESIDE = ((0, -2), (0, -1), (0, 0))


def neighbours(x: Pixels, places: Places) -> Float[Array, "images height width features"]:
    """The pixels at these places around every pixel, side by side; zeros beyond the edges.

    Args:
        x: Images.
        places: (rows down, columns right) from the pixel; no row is below it.

    Returns:
        For every pixel, channels * len(places) features.
    """
    rows = max(-i for i, _ in places)
    columns = max(abs(j) for _, j in places)
    padded = jnp.pad(x, ((0, 0), (rows, 0), (columns, columns), (0, 0)))
    height, width = x.shape[1:3]
    parts = [
        padded[:, rows + i : rows + i + height, columns + j : columns + j + width]
        for i, j in places
    ]
    return jnp.concatenate(parts, axis=-1)


After = Float[Array, "images height width after"]


class GatedLayer(nnx.Module):
    """One layer of both kinds of units, with z in every gate.

    Args:
        key: For the initial parameters.
        inputs: Channels of the units above and beside in the layer before.
        width: Channels of this layer.
        latents: Dimensions of a code.
        first: Whether this is the first layer, which sees further and does not see its own pixel.
    """

    def __init__(
        self, key: PRNGKeyArray, inputs: tuple[int, int], width: int, latents: int, first: bool
    ) -> None:
        self.places = (_FIRST_ABOVE, _FIRST_BESIDE) if first else (_ABOVE, _BESIDE)
        self.residual = inputs[1] == width and not first
        keys = [nnx.Rngs(params=each) for each in jax.random.split(key, 5)]
        above, beside = (len(part) * n for part, n in zip(self.places, inputs, strict=True))
        self.above = nnx.Linear(above, 2 * width, rngs=keys[0])
        self.beside = nnx.Linear(beside, 2 * width, rngs=keys[1])
        self.across = nnx.Linear(2 * width, 2 * width, rngs=keys[2], use_bias=False)
        self.code = nnx.Linear(latents, 2 * width, rngs=keys[3], use_bias=False)
        self.mix = nnx.Linear(width, width, rngs=keys[4])

    def __call__(
        self, above: Float[Array, "images height width before"], beside: Pixels, z: Codes
    ) -> tuple[After, After]:
        code = self.code(z)[:, None, None]
        down = self.above(neighbours(above, self.places[0])) + code
        right = self.beside(neighbours(beside, self.places[1])) + self.across(down) + code
        end = self.mix(_gate(right))
        return _gate(down), end + beside if self.residual else end


class PixelCnn(nnx.Module):
    """p(x|z) as a product over the pixels in reading order, and over the channels of a pixel.

    One gated layer for each width. The last units of a pixel know z and the pixels before it; they
    are the condition of a masked network over the channels of the pixel.

    Args:
        key: For the initial parameters.
        settings: Used are `channels`, the widths, and `latents`.
        shape: (height, width, channels) of an image.
        outputs: Real numbers for each dimension of x.

    Raises:
        SettingsError: If the shape is not that of images, or there are no channels.

    Source: van den Oord et al., "Conditional image generation with PixelCNN decoders", 2016.
    """

    autoregressive = True

    def __init__(self, key: PRNGKeyArray, settings: Settings, shape: Shape, outputs: int) -> None:
        widths = settings.channels
        if len(shape) != 3 or not widths:
            size = " x ".join(str(length) for length in shape)
            raise SettingsError(
                f"decoder pixelcnn needs images, height x width x channels, and a width in"
                f" channels for every layer: got {size} and {len(widths)} widths; use made."
            )
        self.shape = shape
        *keys, last_key = jax.random.split(key, len(widths) + 1)
        before = [(shape[-1], shape[-1]), *[(width, width) for width in widths]]
        self.layers = nnx.List(
            GatedLayer(layer_key, inputs, width, settings.latents, n == 0)
            for n, (layer_key, inputs, width) in enumerate(zip(keys, before, widths, strict=False))
        )
        self.last = MaskedNetwork(last_key, shape[-1], widths[-1], (widths[-1],), outputs)

    def __call__(self, z: Codes, x: Images) -> Outputs:
        return self._outputs(z, x.reshape(-1, *self.shape)).reshape(x.shape[0], -1)

    def cache(self, z: Codes) -> Codes:
        """What `one` carries from pixel to pixel: the code.

        Args:
            z: Codes.

        Returns:
            The same codes.
        """
        return z

    def one(self, i: Int[Array, ""], x: Images, z: Codes) -> tuple[Outputs, Codes]:
        """The outputs of dimension i alone, from the rows that it can see.

        Args:
            i: The dimension of the flat image.
            x: Images; only the dimensions before i matter.
            z: Codes.

        Returns:
            The outputs of the dimension, and the codes.
        """
        height, width, channels = self.shape
        # The first layer sees three rows up, and every further layer one row more.
        rows = min(len(self.layers) + 3, height)
        i = i.astype(jnp.int32)
        start = jnp.clip(i // (width * channels) - rows + 1, 0, height - rows)
        seen = lax.dynamic_slice_in_dim(x.reshape(-1, *self.shape), start, rows, axis=1)
        outputs = self._outputs(z, seen).reshape(x.shape[0], rows * width * channels, -1)
        return outputs[:, i - start * width * channels], z

    def _outputs(self, z: Array, image: Array) -> Array:
        above = beside = image
        for layer in self.layers:
            above, beside = layer(above, beside, z)
        features = jax.nn.silu(beside).reshape(-1, beside.shape[-1])
        return self.last(image.reshape(-1, image.shape[-1]), features)


def _gate(x: Array) -> Array:
    signal, gate = jnp.split(x, 2, axis=-1)
    return jnp.tanh(signal) * jax.nn.sigmoid(gate)
