"""Convolutions as products against XLA's own, and the images that they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.models.convolutions import Convolution, Residual, Upsampling
from ratedistortion.settings import Settings

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute


def key_of(number: int) -> jax.Array:
    return jax.random.key(number, impl="threefry2x32")


def image_of(*shape: int) -> jax.Array:
    return jax.random.normal(key_of(9), shape, jnp.float32)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 6, 1), (12, 6, 3)])
def test_a_convolution_is_that_of_xla(shape, stride):
    layer, x = Convolution(key_of(0), shape[-1], 5, stride), image_of(2, *shape)
    kernel = layer.product.kernel[...].reshape(stride + 2, stride + 2, shape[-1], 5)
    expected = lax.conv_general_dilated(
        x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_upsampling_puts_every_block_in_its_place():
    layer, x = Upsampling(key_of(0), 2, 3, 2, 1.0), image_of(2, 4, 5, 2)
    blocks, whole = np.asarray(layer.convolution(x)), np.asarray(layer(x))
    assert whole.shape == (2, 8, 10, 3)
    for i in range(2):
        for j in range(2):
            start = (2 * i + j) * 3
            np.testing.assert_array_equal(whole[:, i::2, j::2], blocks[..., start : start + 3])


def test_a_residual_block_without_its_last_layer_is_the_identity():
    layer, x = Residual(key_of(0), 3), image_of(1, 4, 4, 3)
    assert np.any(np.asarray(layer(x)) != x)
    layer.second = jax.tree.map(jnp.zeros_like, layer.second)
    np.testing.assert_array_equal(layer(x), x)


def autoencoder_of(shape, **values):
    settings = Settings(dataset="made", latents=2, likelihood="gaussian", **values)
    return Autoencoder(settings, shape)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (8, 12, 2)])
@pytest.mark.parametrize("pair", [("conv", "deconv"), ("resnet", "resnet")])
def test_images_of_any_size_that_the_strides_divide(shape, pair):
    autoencoder = autoencoder_of(shape, encoder=pair[0], decoder=pair[1])
    model = jax.eval_shape(autoencoder.build, key_of(0))
    x = jax.ShapeDtypeStruct((3, int(np.prod(shape))), jnp.float32)

    def there_and_back(model, x):
        return autoencoder.decode(model, autoencoder.encode(model, x).mean, key_of(0))

    assert jax.eval_shape(there_and_back, model, x).shape == x.shape


@pytest.mark.parametrize(
    "families, shape, more, message",
    [
        ({"encoder": "conv"}, (27, 28, 1), {}, "encoder conv needs .* 2,2 divide: got 27 x 28 x 1"),
        ({"decoder": "deconv"}, (784,), {}, "decoder deconv needs images.* got 784; use other"),
        ({"decoder": "resnet"}, (6, 6, 1), {}, "decoder resnet needs .* got 6 x 6 x 1"),
        ({"encoder": "resnet"}, (8, 8, 1), {"strides": (2,)}, "encoder resnet.* got 2 and 1"),
        ({"encoder": "conv"}, (8, 8, 1), {"strides": (), "channels": ()}, "got 0 and 0"),
        ({"decoder": "pixelcnn"}, (9,), {}, "pixelcnn needs images.* got 9 and 2 widths"),
        ({"decoder": "pixelcnn"}, (3, 3, 1), {"channels": ()}, "got 3 x 3 x 1 and 0 widths"),
    ],
)
def test_what_they_refuse_takes_one_line(families, shape, more, message):
    with pytest.raises(SettingsError, match=message) as error:
        jax.eval_shape(autoencoder_of(shape, **families, **more).build, key_of(0))
    assert "\n" not in str(error.value)
