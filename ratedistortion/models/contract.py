"""What every member must keep to, checked by its shapes: nothing is compiled or computed."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.datasets import Dataset
from ratedistortion.errors import DatasetError, SettingsError
from ratedistortion.models import interfaces
from ratedistortion.models.interfaces import Posterior, Shape
from ratedistortion.models.likelihoods import Likelihood, LinearOutputs
from ratedistortion.models.own import told
from ratedistortion.settings import Settings, code

_IMAGES = 3  # of the shapes that are tried
_ROWS = 10_000  # images whose values are looked at at once

Build = Callable[..., Any]
Shapes = dict[str, Shape]  # what a result is called -> its shape
Dtypes = tuple[Any, ...]  # the precisions of densities


def check_own(builders: Mapping[str, Build], settings: Settings, shape: Shape) -> None:
    """Checks the members that are built by code of the user's own.

    Args:
        builders: From `families.members`.
        settings: Those with which they are built; `latents` is a number.
        shape: Of an image or a vector.

    Raises:
        SettingsError: If one raises, lacks a method, or gives other shapes or types than it must.
    """
    for family in ("likelihood", "encoder", "decoder", "prior"):
        name = getattr(settings, family)
        if code.is_own(name):
            check_member(family, name, builders, settings, shape)


def check_member(
    family: str, name: str, builders: Mapping[str, Build], settings: Settings, shape: Shape
) -> None:
    """Checks one member, as `check_own` does.

    Args:
        family: One of `FAMILIES`.
        name: What to call the member in an error.
        builders: Family -> function; the likelihood says how many outputs a decoder has.
        settings: As for `check_own`.
        shape: As for `check_own`.

    Raises:
        SettingsError: As of `check_own`.
    """
    what, size = f"{family} {code.shown(name)}", math.prod(shape)
    with told(family, name):
        if family == "likelihood":
            _likelihood(what, builders[family](settings), size)
            return
        outputs = builders["likelihood"](settings).outputs
        more = (outputs,) if family == "decoder" else ()

        def build() -> Any:
            built = builders[family](jax.random.key(0), settings, shape, *more)
            for leaf in jax.tree.leaves(built):
                if not hasattr(leaf, "dtype"):
                    raise SettingsError(
                        f"{what} must be a pytree of arrays, such as a flax.nnx.Module: got"
                        f" {type(leaf).__name__}."
                    )
            return built

        member = jax.eval_shape(build)
        for path, leaf in jax.tree.leaves_with_path(member):
            if leaf.dtype != jnp.float32:
                raise SettingsError(
                    f"{what}: all parameters must be float32: got {leaf.dtype} in"
                    f" {jax.tree_util.keystr(path)}."
                )
        # Models are trained with 32-bit numbers, and measured while 64-bit numbers are on.
        for dtypes in ((jnp.float32,), (jnp.float32, jnp.float64)):
            with jax.enable_x64(len(dtypes) > 1):
                if family == "encoder":
                    _encoder(what, member, size, settings.latents, dtypes)
                elif family == "decoder":
                    _decoder(what, member, size, settings.latents, outputs)
                else:
                    _prior(what, member, settings.latents, dtypes)


def check_values(likelihood: Likelihood, name: str, data: Dataset) -> None:
    """Refuses data that have no density under the likelihood.

    Args:
        likelihood: Its `accepts` is asked, in NumPy.
        name: Its setting.
        data: What models are trained and measured on.

    Raises:
        DatasetError: Naming the first value that has none.
    """
    if likelihood.accepts is None:
        return
    what = f"likelihood {code.shown(name)}"
    for split, images in {**data.splits, "train": data.train}.items():
        if data.dynamic and split == "train":
            images = data.splits[split]  # what is trained on are draws such as these
        for start in range(0, len(images), _ROWS):
            x = images[start : start + _ROWS] * np.float32(data.scale)
            with told("likelihood", name):
                accepted = np.asarray(likelihood.accepts(x))
                if accepted.shape != x.shape or accepted.dtype != bool:
                    raise SettingsError(
                        f"{what}: accepts must return booleans of shape {x.shape}: got"
                        f" {accepted.dtype} {accepted.shape}."
                    )
            if not accepted.all():
                row, column = np.unravel_index(accepted.argmin(), x.shape)
                raise DatasetError(
                    f"{data.name}: {what} needs {likelihood.needs}: got {x[row, column]:.6g} in"
                    f" {split}, row {start + row}; give other data, or another --likelihood."
                )


def _encoder(what: str, member: Any, size: int, latents: int, dtypes: Dtypes) -> None:
    gaussian = _flag(what, member, "gaussian", interfaces.Encoder)

    def posterior(member: Any, x: Any) -> Posterior:
        found = member(x)
        if not isinstance(found, Posterior):
            raise SettingsError(
                f"{what} must return interfaces.Posterior(mean, log_scale): got"
                f" {type(found).__name__}."
            )
        if not gaussian and found.context is None:
            raise SettingsError(f"{what}: with gaussian = False its Posterior must have a context.")
        return found if not gaussian else found._replace(context=None)

    x, codes = _array((_IMAGES, size)), (_IMAGES, latents)
    shapes: Shapes = {"mean": codes, "log_scale": codes}
    if gaussian:
        _compare(what, shapes, posterior, member, x)
        return
    _offers(what, member, interfaces.FlowingEncoder)
    context: Any = jax.eval_shape(posterior, member, x).context
    context = _IMAGES, *context.shape[1:]
    _compare(what, {**shapes, "context": context}, posterior, member, x)
    for dtype in dtypes:
        own, *given = _cast(member, dtype), _array(codes, dtype), _array(context, dtype)
        _compare(what, {"flow": codes}, lambda own, *each: own.flow(*each), own, *given)
        _compare(what, {"unflow": codes}, lambda own, *each: own.unflow(*each), own, *given)


def _decoder(what: str, member: Any, size: int, latents: int, outputs: int) -> None:
    z, x = _array((_IMAGES, latents)), _array((_IMAGES, size))
    shapes: Shapes = {"outputs": (_IMAGES, size * outputs)}
    if not _flag(what, member, "autoregressive", interfaces.Decoder):
        _compare(what, shapes, lambda own, z: own(z), member, z)
        return
    _offers(what, member, interfaces.AutoregressiveDecoder)
    _compare(what, shapes, lambda own, z, x: own(z, x), member, z, x)

    def one(member: Any, z: Any, x: Any) -> Any:
        before = member.cache(z)
        found, after = member.one(jnp.int32(0), x, before)
        kinds = [
            jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), part) for part in (before, after)
        ]
        if kinds[0] != kinds[1]:
            raise SettingsError(
                f"{what}: its method one must return a cache of the shapes that it was given."
            )
        return found

    _compare(what, {"outputs of one": (_IMAGES, outputs)}, one, member, z, x)


def _prior(what: str, member: Any, latents: int, dtypes: Dtypes) -> None:
    if _flag(what, member, "uses_encoder"):
        _offers(what, member, interfaces.EncoderPrior)

        def encode(x: Any) -> Posterior:
            nothing = jnp.zeros((len(x), latents), x.dtype)
            return Posterior(nothing, nothing)

        member = jax.eval_shape(lambda own: own.given(encode), member)
    gaussian, codes = _flag(what, member, "gaussian", interfaces.Prior), (_IMAGES, latents)
    _compare(what, {"sample": codes}, lambda own: own.sample(jax.random.key(0), _IMAGES), member)
    if gaussian:
        _offers(what, member, interfaces.GaussianPrior)
    for dtype in dtypes:
        own, z = _cast(member, dtype), _array(codes, dtype)
        _compare(what, {"log_density": (_IMAGES,)}, lambda own, z: own.log_density(z), own, z)
        if gaussian:
            pair: Shapes = {"standardised mean": codes, "standardised log_scale": codes}
            _compare(what, pair, lambda own, *each: own.standardize(*each), own, z, z)


def _likelihood(what: str, made: Any, size: int) -> None:
    if not isinstance(made, Likelihood):
        raise SettingsError(f"{what} must be a likelihoods.Likelihood: got {type(made).__name__}.")
    outputs: Any = made.outputs
    if not isinstance(outputs, int) or outputs < 1:
        raise SettingsError(
            f"{what}: outputs must be a whole number of at least 1: got {outputs!r}."
        )
    key, x = jax.random.key(0), (_IMAGES, size)
    for wide in (False, True):
        with jax.enable_x64(wide):
            arrays = _array(x), _array((*x, outputs))
            _compare(what, {"log_density": (_IMAGES,)}, made.log_density, *arrays)
            for shape in (x, x[:1]):  # of all dimensions, and of one
                given = _array((*shape, outputs))
                _compare(what, {"mean": shape}, made.mean, given)
                _compare(what, {"sample": shape}, lambda given: made.sample(key, given), given)
    shapes: Shapes = {"slope of linear": (outputs,), "bias of linear": (size, outputs)}
    shapes |= {"noise of linear": ()}
    _compare(what, shapes, lambda mean: LinearOutputs(*made.linear(mean)), _array((size,)))


def _compare(what: str, shapes: Shapes, function: Callable[..., Any], *arguments: Any) -> None:
    """Refuses results that have not these shapes, or not the dtype of the last argument."""
    dtype = jax.tree.leaves(arguments)[-1].dtype if jax.tree.leaves(arguments) else jnp.float32
    found = jax.tree.leaves(jax.eval_shape(function, *arguments))
    if len(found) != len(shapes):
        names = ", ".join(shapes)
        raise SettingsError(f"{what}: expected {names}: got {len(found)} arrays.")
    for (name, shape), got in zip(shapes.items(), found, strict=True):
        if (got.shape, got.dtype) != (shape, dtype):
            expected = f"{dtype} {shape} for {_IMAGES} images"
            reason = f"{what}: {name} must be {expected}: got {got.dtype} {got.shape}"
            if got.shape == shape and got.dtype == jnp.float64:
                reason += (
                    " while 64-bit numbers are on: write the dtype, as in jnp.zeros(3, x.dtype)"
                )
            raise SettingsError(f"{reason}.")


def _flag(what: str, member: Any, name: str, protocol: Any = None) -> bool:
    """A flag of the member; also refuses a member that lacks what its Protocol has."""
    if protocol is not None:
        _offers(what, member, protocol)
    value = getattr(member, name, None)
    if not isinstance(value, bool):
        raise SettingsError(f"{what}: {name} must be True or False: got {value!r}.")
    return value


def _offers(what: str, member: Any, protocol: Any) -> None:
    names = [
        name
        for base in protocol.__mro__
        for name in (*vars(base).get("__annotations__", {}), *vars(base))
        if name == "__call__" or not name.startswith("_")
    ]
    missing = [name for name in dict.fromkeys(names) if not hasattr(member, name)]
    if missing:
        raise SettingsError(
            f"{what}: {type(member).__name__} lacks {', '.join(missing)}: it must offer all of"
            f" interfaces.{protocol.__name__}."
        )


def _array(shape: Shape, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _cast(member: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: _array(leaf.shape, dtype), member)
