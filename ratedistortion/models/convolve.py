"""A convolution and its gradients, each in a form that is fast where it runs; NHWC throughout.

What differentiation makes of a convolution, with a dilated image, a reversed kernel or axes in
another order, runs at 1 to 25 GFLOP/s on a CPU core that reaches 130 with plain ones. So the
gradients are plain ones here too, or one matrix product where there are few channels. With a kernel
for every run of a batch plain ones become grouped ones, slow on any device: patches and one product
per run take their place.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

_NHWC = ("NHWC", "HWIO", "NHWC")
# From so many channels on, of the images and of the outputs, patches are larger than caches.
_MANY = 32


def convolve(
    x: Float[Array, "images height width channels"],
    kernel: Float[Array, "size size channels outputs"],
    stride: int,
) -> Float[Array, "images rows columns outputs"]:
    """Squares of stride + 2 pixels, one at every `stride`-th: they overlap by two.

    Args:
        x: Images, with zeros beyond the edges.
        kernel: Of size stride + 2.
        stride: Divides height and width.

    Returns:
        height / stride rows and width / stride columns.
    """
    return _convolve(x, kernel, stride)


def _value(x: Array, kernel: Array, stride: int) -> Array:
    return _plain(stride, 1)(x, kernel)


def _forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return _value(x, kernel, stride), (x, kernel)


def _backward(stride: int, saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return _image_gradient(kernel, dy, stride), _kernel_gradient(stride)(x, dy)


_convolve: Any = jax.custom_vjp(_value, nondiff_argnums=(2,))
_convolve.defvjp(_forward, _backward)


def depth_to_space(
    x: Float[Array, "images rows columns features"], stride: int
) -> Float[Array, "images height width channels"]:
    """The features of a pixel as `stride` by `stride` pixels in its place.

    Source: Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.
    """
    images, rows, columns, _ = x.shape
    blocks = x.reshape(images, rows, columns, stride, stride, -1)
    return jnp.swapaxes(blocks, 2, 3).reshape(images, rows * stride, columns * stride, -1)


def _space_to_depth(x: Array, stride: int) -> Array:
    images, height, width, _ = x.shape
    blocks = x.reshape(images, height // stride, stride, width // stride, stride, -1)
    return jnp.swapaxes(blocks, 2, 3).reshape(images, height // stride, width // stride, -1)


def _image_gradient(kernel: Array, dy: Array, stride: int) -> Array:
    """A convolution of dy with the kernel turned round, for all pixels of a block at once."""
    height, width = (length * stride for length in dy.shape[1:3])
    turned = jnp.swapaxes(_kernel_blocks(kernel, stride)[::-1, ::-1], 2, 3)
    pixels = depth_to_space(_plain(1, 1)(dy, turned), stride)
    # With blocks of several pixels there is a border of one on the left, and one or more beyond.
    first = 0 if stride == 1 else 1
    return pixels[:, first : first + height, first : first + width]


@functools.cache
def _kernel_gradient(stride: int) -> Callable[[Array, Array], Array]:
    """The gradient of the kernel by images and dy, and what a batch makes of it."""

    @custom_vmap
    def gradient(x: Array, dy: Array) -> Array:
        many = min(x.shape[-1], dy.shape[-1]) >= _MANY
        return (_by_convolution if many else _by_product)(x, dy, stride)

    @gradient.def_vmap
    def batched(_: int, is_batched: list[bool], x: Array, dy: Array) -> tuple[Array, bool]:
        return jax.vmap(_by_product, (*_axes(is_batched), None))(x, dy, stride), True

    return gradient


def _by_convolution(x: Array, dy: Array, stride: int) -> Array:
    """dy, moved over the images: channels are a batch, and images the channels."""
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
    """One product of patches, of the images or of dy: of those that have fewer channels."""
    size = stride + 2
    blocks = -(-size // stride)
    after = (blocks - 1) * stride - 1
    x = _space_to_depth(jnp.pad(x, ((0, 0), (1, after), (1, after), (0, 0))), stride)
    channels, outputs = x.shape[-1], dy.shape[-1]
    if channels <= outputs:
        seen = _patches(x, blocks, 1, 0)
        gradient = seen.reshape(-1, blocks**2 * channels).T @ dy.reshape(-1, outputs)
    else:
        # Turned round, as dy moves where the images stand still.
        seen = _patches(dy, blocks, 1, blocks - 1, turned=True)
        gradient = x.reshape(-1, channels).T @ seen.reshape(-1, blocks**2 * outputs)
        gradient = jnp.swapaxes(gradient.reshape(channels, blocks**2, outputs), 0, 1)
    gradient = gradient.reshape(blocks, blocks, stride, stride, -1, outputs)
    whole = (blocks * stride, blocks * stride, -1, outputs)
    return jnp.swapaxes(gradient, 1, 2).reshape(whole)[:size, :size]


def _kernel_blocks(kernel: Array, stride: int) -> Array:
    """The kernel that, over blocks of `stride` by `stride` pixels, takes one block at a time."""
    size, _, channels, outputs = kernel.shape
    blocks = -(-size // stride)
    missing = (0, blocks * stride - size)
    padded = jnp.pad(kernel, (missing, missing, (0, 0), (0, 0)))
    padded = padded.reshape(blocks, stride, blocks, stride, channels, outputs)
    return jnp.swapaxes(padded, 1, 2).reshape(blocks, blocks, -1, outputs)


@functools.cache
def _plain(stride: int, border: int) -> Callable[[Array, Array], Array]:
    """A convolution of images with a border of zeros, and what a batch of kernels makes of it."""

    @custom_vmap
    def convolution(x: Array, kernel: Array) -> Array:
        borders = ((border, border), (border, border))
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), borders, dimension_numbers=_NHWC
        )

    @convolution.def_vmap
    def batched(size: int, is_batched: list[bool], x: Array, kernel: Array) -> tuple[Array, bool]:
        if is_batched[1]:
            return jax.vmap(product, _axes(is_batched))(x, kernel), True
        merged = convolution(x.reshape(-1, *x.shape[2:]), kernel)
        return merged.reshape(size, -1, *merged.shape[1:]), True

    def product(x: Array, kernel: Array) -> Array:
        seen = _patches(x, kernel.shape[0], stride, border)
        return seen @ kernel.reshape(-1, kernel.shape[-1])

    return convolution


def _axes(is_batched: list[bool]) -> tuple[int | None, ...]:
    return tuple(0 if each else None for each in is_batched)


def _patches(
    x: Float[Array, "images height width channels"],
    size: int,
    stride: int,
    border: int,
    turned: bool = False,
) -> Float[Array, "images rows columns features"]:
    """Every `stride`-th square of `size` pixels as one vector, with a border of zeros around.

    The pixels of a square are in reading order; from its last to its first if `turned`.
    """
    around = (border, border)
    padded = jnp.pad(x, ((0, 0), around, around, (0, 0)))
    last_row, last_column = (length - size + 1 for length in padded.shape[1:3])
    parts = [
        padded[:, i : i + last_row : stride, j : j + last_column : stride]
        for i, j in itertools.product(range(size), repeat=2)
    ]
    return jnp.concatenate(parts[::-1] if turned else parts, axis=-1)
