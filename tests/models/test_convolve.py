"""A convolution and its gradients against their definition in NumPy, alone and in batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion.models.convolve import convolve

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

# Height, width, channels, outputs: few outputs, few channels, and many of both.
SHAPES = [(6, 6, 1, 5), (12, 6, 3, 5), (6, 12, 8, 5), (6, 12, 32, 40)]


def arrays_of(shape, stride, batch=()):
    random = np.random.default_rng(stride)
    height, width, channels, outputs = shape
    x = random.normal(size=(*batch, 2, height, width, channels))
    kernel = random.normal(size=(*batch, stride + 2, stride + 2, channels, outputs))
    dy = random.normal(size=(*batch, 2, height // stride, width // stride, outputs))
    return x, kernel, dy


def truth(x, kernel, dy, stride):
    """The outputs, and the gradients of sum(outputs * dy), pixel by pixel of the kernel."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y, dx, dkernel = np.zeros_like(dy), np.zeros_like(padded), np.zeros_like(kernel)
    for i in range(stride + 2):
        for j in range(stride + 2):
            seen = (
                slice(None),
                slice(i, i + x.shape[1] - stride + 1, stride),
                slice(j, j + x.shape[2] - stride + 1, stride),
            )
            y += padded[seen] @ kernel[i, j]
            dx[seen] += dy @ kernel[i, j].T
            dkernel[i, j] = np.einsum("nrck,nrco->ko", padded[seen], dy)
    return y, (dx[:, 1:-1, 1:-1], dkernel)


def error(found, expected):
    """The largest, of value and gradients, in units of the largest entry of each."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return np.max([np.max(np.abs(one - other)) / np.max(np.abs(other)) for one, other in pairs])


def with_gradients(stride):
    def one(x, kernel, dy):
        y, back = jax.vjp(lambda x, kernel: convolve(x, kernel, stride), x, kernel)
        return y, back(dy)

    return one


def in_float32(arrays):
    return [jnp.asarray(each, jnp.float32) for each in arrays]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradients_are_those_of_the_definition(shape, stride):
    arrays = arrays_of(shape, stride)
    found = jax.jit(with_gradients(stride))(*in_float32(arrays))
    assert error(found, truth(*arrays, stride)) < 4e-6


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("shape", SHAPES[1::2])
def test_batches_of_images_and_of_kernels(shape, which, stride):
    batched, single = arrays_of(shape, stride, (3,)), arrays_of(shape, stride)
    which = (*which, True)
    arrays = [b if each else one for b, one, each in zip(batched, single, which, strict=True)]
    axes = tuple(0 if each else None for each in which)
    found = jax.jit(jax.vmap(with_gradients(stride), axes))(*in_float32(arrays))
    for n in range(3):
        one = [array[n] if each else array for array, each in zip(arrays, which, strict=True)]
        assert error(jax.tree.map(lambda leaf, n=n: leaf[n], found), truth(*one, stride)) < 4e-6


@pytest.mark.parametrize("shape", SHAPES[1::2])
@pytest.mark.parametrize("kernels", [False, True])
def test_one_kernel_stays_a_convolution_and_many_become_a_product(shape, kernels):
    """Value and gradient of the images; the gradient of the kernel is a product in a batch."""
    x, kernel, dy = in_float32(arrays_of(shape, 2, (3,)))
    axes = (0, 0 if kernels else None, 0)
    kernel = kernel if kernels else kernel[0]
    text = jax.jit(jax.vmap(with_gradients(2), axes)).lower(x, kernel, dy).as_text()
    assert text.count("stablehlo.convolution") == (0 if kernels else 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_many_channels_needs_no_patches(shape):
    text = jax.jit(with_gradients(2)).lower(*in_float32(arrays_of(shape, 2))).as_text()
    many = shape is SHAPES[-1]
    assert text.count("stablehlo.convolution") == (3 if many else 2)
    assert ("dot_general" in text) != many
