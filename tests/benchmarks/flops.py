"""Floating-point operations of one training step, by formula, from the sizes of the layers."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from cases import Case


class Product(NamedTuple):
    """(rows, inputs) times (inputs, outputs); `backward` where the inputs need a gradient too."""

    rows: int
    inputs: int
    outputs: int
    backward: bool = True


def step_flops(case: Case) -> int:
    """Operations of the matrix products in a step of one model.

    Forward, to the weights, and to the inputs: 2 m n k each. Convolutions count as the products
    that they are equal to, masked layers in full; what is done element by element is left out.
    """
    return sum(2 * p.rows * p.inputs * p.outputs * (3 if p.backward else 2) for p in products(case))


def products(case: Case) -> Iterator[Product]:
    """The matrix products of the forward pass."""
    first, *rest = _encoder(case)
    yield first._replace(backward=False)
    yield from rest
    yield from {"mlp": _mlp_decoder, "deconv": _deconv, "made": _made}[case.decoder](case)


def parameters(case: Case) -> int:
    """Weights of one model, without biases."""
    return sum(p.inputs * p.outputs for p in products(case))


def _encoder(case: Case) -> Iterator[Product]:
    if case.encoder == "mlp":
        yield from _dense(case, (case.dimensions, *case.hidden, 2 * case.latents))
        return
    height, width, before = case.shape
    for after, stride in zip(case.channels, case.strides, strict=True):
        height, width = height // stride, width // stride
        yield Product(case.batch_size * height * width, (stride + 2) ** 2 * before, after)
        before = after
    yield Product(case.batch_size, height * width * before, 2 * case.latents)


def _mlp_decoder(case: Case) -> Iterator[Product]:
    return _dense(case, (case.latents, *case.hidden[::-1], case.dimensions))


def _deconv(case: Case) -> Iterator[Product]:
    total = math.prod(case.strides)
    height, width, before = case.shape[0] // total, case.shape[1] // total, case.channels[-1]
    yield Product(case.batch_size, case.latents, height * width * before)
    outputs = (*case.channels[-2::-1], case.shape[-1])
    for after, stride in zip(outputs, case.strides[::-1], strict=True):
        yield Product(case.batch_size * height * width, 9 * before, after * stride**2)
        height, width, before = height * stride, width * stride, after


def _made(case: Case) -> Iterator[Product]:
    pixels, widths = case.dimensions, case.hidden[::-1]
    first, *rest = _dense(case, (pixels, *widths, pixels))
    direct = Product(case.batch_size, pixels, pixels, backward=False)
    yield from (first._replace(backward=False), *rest, direct)
    for outputs in (*widths, pixels, pixels):
        yield Product(case.batch_size, case.latents, outputs)


def _dense(case: Case, widths: tuple[int, ...]) -> Iterator[Product]:
    for before, after in zip(widths[:-1], widths[1:], strict=True):
        yield Product(case.batch_size, before, after)
