"""A convolution and its gradients against XLA's own in float64, one at a time and in batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ratedistortion.models.convolve import convolve

# Height, width, channels, outputs: few outputs, few channels, and many of both.
SHAPES = [(6, 6, 1, 5), (12, 6, 3, 5), (6, 12, 8, 5), (6, 12, 32, 40)]


def reference(x, kernel, stride):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def arrays_of(shape, stride, batch=()):
    random = np.random.default_rng(stride)
    height, width, channels, outputs = shape
    x = random.normal(size=(*batch, 2, height, width, channels))
    kernel = random.normal(size=(*batch, stride + 2, stride + 2, channels, outputs))
    dy = random.normal(size=(*batch, 2, height // stride, width // stride, outputs))
    return x, kernel, dy


def error(found, expected):
    """The largest, of value and gradients, in units of the largest entry of each."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return np.max([np.max(np.abs(one - other)) / np.max(np.abs(other)) for one, other in pairs])


def with_gradients(function, stride):
    def one(x, kernel, dy):
        y, back = jax.vjp(lambda x, kernel: function(x, kernel, stride), x, kernel)
        return y, back(dy)

    return one


def truth(arrays, stride, axes=None):
    with jax.enable_x64(True):
        one = with_gradients(reference, stride)
        function = one if axes is None else jax.vmap(one, axes)
        return jax.tree.map(np.asarray, function(*(jnp.asarray(each) for each in arrays)))


def found(arrays, stride, axes=None):
    one = with_gradients(convolve, stride)
    function = one if axes is None else jax.vmap(one, axes)
    return jax.jit(function)(*(jnp.asarray(each, jnp.float32) for each in arrays))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradients_are_those_of_xla_in_float64(shape, stride):
    arrays = arrays_of(shape, stride)
    assert error(found(arrays, stride), truth(arrays, stride)) < 4e-6


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("shape", SHAPES[1::2])
def test_batches_of_images_and_of_kernels(shape, which, stride):
    batched, single = arrays_of(shape, stride, (3,)), arrays_of(shape, stride)
    which = (*which, True)
    arrays = [b if each else one for b, one, each in zip(batched, single, which, strict=True)]
    axes = tuple(0 if each else None for each in which)
    assert error(found(arrays, stride, axes), truth(arrays, stride, axes)) < 4e-6


@pytest.mark.parametrize("shape", SHAPES[1::2])
@pytest.mark.parametrize("kernels", [False, True])
def test_one_kernel_stays_a_convolution_and_many_become_a_product(shape, kernels):
    """Value and gradient of the images; the gradient of the kernel is a product in a batch."""
    x, kernel, dy = (jnp.asarray(each, jnp.float32) for each in arrays_of(shape, 2, (3,)))
    axes = (0, 0 if kernels else None, 0)
    kernel = kernel if kernels else kernel[0]
    text = jax.jit(jax.vmap(with_gradients(convolve, 2), axes)).lower(x, kernel, dy).as_text()
    assert text.count("stablehlo.convolution") == (0 if kernels else 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_many_channels_needs_no_patches(shape):
    x, kernel, dy = (jnp.asarray(each, jnp.float32) for each in arrays_of(shape, 2))
    text = jax.jit(with_gradients(convolve, 2)).lower(x, kernel, dy).as_text()
    many = shape is SHAPES[-1]
    assert text.count("stablehlo.convolution") == (3 if many else 2)
    assert ("dot_general" in text) != many
