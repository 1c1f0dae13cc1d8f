"""A convolution with gradients that are fast on a CPU, for one model and for many at once.

The layout of images is (images, height, width, channels) throughout, NHWC. Two things are slow if
they are left to JAX:

1. The gradients. JAX derives them as convolutions of dilated images, with reversed kernels or with
   the axes in another order. XLA runs these at 1 to 25 GFLOP/s on a CPU core where a plain
   convolution reaches 130. So this file writes both gradients as plain convolutions, or, if there
   are few channels, as one matrix product.
2. Many models at once. `jax.vmap` over kernels gives one grouped convolution, which is slow on any
   device. So with a kernel for each run, the patches of the images are copied side by side, and
   each run multiplies them by its kernel: one matrix product for each run.

A patch is the square of pixels under the kernel at one place of the image.
"""

import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from ratedistortion.models.shapes import Pixels

_NHWC = ("NHWC", "HWIO", "NHWC")
# Channels, of the images and of the outputs, from which the gradient of the kernel is computed by a
# convolution: their patches would no longer fit in the caches of a CPU.
_MIN_CHANNELS_FOR_CONVOLUTION = 32


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(
    x: Pixels, kernel: Float[Array, "size size channels outputs"], stride: int
) -> Float[Array, "images rows columns outputs"]:
    """A convolution whose kernel is a square of stride + 2 pixels.

    Neighbouring squares are `stride` pixels apart, so they overlap by two pixels.

    Args:
        x: Images. Zeros are added around them: one pixel on each side.
        kernel: Weights; size = stride + 2.
        stride: In pixels; it must divide height and width.

    Returns:
        Images of height / stride rows and width / stride columns.
    """
    return _plain(stride)(x, kernel)


def _forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return _plain(stride)(x, kernel), (x, kernel)


def _backward(stride: int, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return _image_gradient(kernel, dy, stride), _kernel_gradient(stride)(x, dy)


convolve.defvjp(_forward, _backward)


def depth_to_space(
    x: Float[Array, "images rows columns features"], stride: int
) -> Float[Array, "images height width channels"]:
    """Turns the features of each pixel into `stride` by `stride` pixels in its place.

    Args:
        x: Images of stride^2 * channels features.
        stride: In pixels.

    Returns:
        Images of rows * stride pixels by columns * stride pixels, with features / stride^2
        channels.

    Source: Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.
    """
    images, rows, columns, _ = x.shape
    blocks = x.reshape(images, rows, columns, stride, stride, -1)
    return jnp.swapaxes(blocks, 2, 3).reshape(images, rows * stride, columns * stride, -1)


def _space_to_depth(x: Array, stride: int) -> Array:
    """The inverse of `depth_to_space`."""
    images, height, width, _ = x.shape
    blocks = x.reshape(images, height // stride, stride, width // stride, stride, -1)
    return jnp.swapaxes(blocks, 2, 3).reshape(images, height // stride, width // stride, -1)


def _image_gradient(kernel: Array, dy: Array, stride: int) -> Array:
    """The gradient with respect to x: a convolution of dy with the kernel rotated by 180 degrees.

    With a stride, it gives the stride^2 pixels of a block as the features of one pixel, and
    `depth_to_space` puts them in their places. No dilated image is needed.
    """
    height, width = (length * stride for length in dy.shape[1:3])
    turned = jnp.swapaxes(_kernel_blocks(kernel, stride)[::-1, ::-1], 2, 3)
    pixels = depth_to_space(_plain(1)(dy, turned), stride)
    # Cut off the border of zeros that the forward convolution added. With stride 1 the convolution
    # of dy has cut it off already.
    first = 0 if stride == 1 else 1
    return pixels[:, first : first + height, first : first + width]


@functools.cache
def _kernel_gradient(stride: int) -> Callable[[Array, Array], Array]:
    """The gradient with respect to the kernel, as a function of x and dy.

    Under `jax.vmap` it is always a matrix product: a batch of convolutions would be grouped.
    """

    @custom_vmap
    def gradient(x: Array, dy: Array) -> Array:
        many = min(x.shape[-1], dy.shape[-1]) >= _MIN_CHANNELS_FOR_CONVOLUTION
        return (_by_convolution if many else _by_product)(x, dy, stride)

    @gradient.def_vmap
    def batched(_: int, is_batched: list[bool], x: Array, dy: Array) -> tuple[Array, bool]:
        return jax.vmap(_by_product, (*_axes(is_batched), None))(x, dy, stride), True

    return gradient


def _by_convolution(x: Array, dy: Array, stride: int) -> Array:
    """One convolution with dy as the kernel: it sums over images, so they take the channels' place.

    The channels of x take the place of the images.
    """
    gradient = lax.conv_general_dilated(
        jnp.transpose(x, (3, 1, 2, 0)),
        jnp.transpose(dy, (1, 2, 0, 3)),
        (1, 1),
        ((1, 1), (1, 1)),
        rhs_dilation=(stride, stride),
        dimension_numbers=_NHWC,
    )
    return jnp.transpose(gradient, (1, 2, 0, 3))


def _by_product(x: Array, dy: Array, stride: int) -> Array:
    """One matrix product, of the patches of x with dy, or of x with the patches of dy.

    Patches are copies of what they are taken from, so they are taken of the array with fewer
    channels. x is first cut into blocks of `stride` by `stride` pixels, which removes the stride.
    """
    size = stride + 2
    blocks = -(-size // stride)
    after = (blocks - 1) * stride - 1
    x = _space_to_depth(jnp.pad(x, ((0, 0), (1, after), (1, after), (0, 0))), stride)
    channels, outputs = x.shape[-1], dy.shape[-1]
    if channels <= outputs:
        seen = _patches(x, blocks, 1, 0)
        gradient = seen.reshape(-1, blocks**2 * channels).T @ dy.reshape(-1, outputs)
    else:
        # The patches of dy are in reverse order: where the kernel looks one block further down or
        # right in x, dy is one block further up or left.
        seen = _patches(dy, blocks, 1, blocks - 1, turned=True)
        gradient = x.reshape(-1, channels).T @ seen.reshape(-1, blocks**2 * outputs)
        gradient = jnp.swapaxes(gradient.reshape(channels, blocks**2, outputs), 0, 1)
    gradient = gradient.reshape(blocks, blocks, stride, stride, -1, outputs)
    whole = (blocks * stride, blocks * stride, -1, outputs)
    return jnp.swapaxes(gradient, 1, 2).reshape(whole)[:size, :size]


def _kernel_blocks(kernel: Array, stride: int) -> Array:
    """The kernel for images whose pixels are blocks of `stride` by `stride` pixels.

    It moves by one block at a time, and is padded with zeros to a whole number of blocks.
    """
    size, _, channels, outputs = kernel.shape
    blocks = -(-size // stride)
    missing = (0, blocks * stride - size)
    padded = jnp.pad(kernel, (missing, missing, (0, 0), (0, 0)))
    padded = padded.reshape(blocks, stride, blocks, stride, channels, outputs)
    return jnp.swapaxes(padded, 1, 2).reshape(blocks, blocks, -1, outputs)


@functools.cache
def _plain(stride: int) -> Callable[[Array, Array], Array]:
    """A convolution of images with one pixel of zeros on each side.

    Under `jax.vmap` with one kernel, the batch of images becomes more images of one convolution;
    with a batch of kernels, it becomes patches and one matrix product for each kernel.
    """

    @custom_vmap
    def convolution(x: Array, kernel: Array) -> Array:
        steps, borders = (stride, stride), ((1, 1), (1, 1))
        return lax.conv_general_dilated(x, kernel, steps, borders, dimension_numbers=_NHWC)

    @convolution.def_vmap
    def batched(size: int, is_batched: list[bool], x: Array, kernel: Array) -> tuple[Array, bool]:
        if is_batched[1]:
            return jax.vmap(product, _axes(is_batched))(x, kernel), True
        merged = convolution(x.reshape(-1, *x.shape[2:]), kernel)
        return merged.reshape(size, -1, *merged.shape[1:]), True

    def product(x: Array, kernel: Array) -> Array:
        seen = _patches(x, kernel.shape[0], stride, 1)
        return seen @ kernel.reshape(-1, kernel.shape[-1])

    return convolution


def _axes(is_batched: list[bool]) -> tuple[int | None, ...]:
    return tuple(0 if each else None for each in is_batched)


def _patches(
    x: Pixels, size: int, stride: int, border: int, turned: bool = False
) -> Float[Array, "images rows columns features"]:
    """The patches of `size` by `size` pixels, `stride` pixels apart, each as one vector.

    The images get `border` pixels of zeros on each side. The pixels of a patch are in reading
    order, or in reverse order if `turned`.
    """
    around = (border, border)
    padded = jnp.pad(x, ((0, 0), around, around, (0, 0)))
    last_row, last_column = (length - size + 1 for length in padded.shape[1:3])
    parts = [
        padded[:, i : i + last_row : stride, j : j + last_column : stride]
        for i, j in itertools.product(range(size), repeat=2)
    ]
    return jnp.concatenate(parts[::-1] if turned else parts, axis=-1)
