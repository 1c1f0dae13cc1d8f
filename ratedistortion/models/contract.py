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
from ratedistortion.models.families import FAMILIES
from ratedistortion.models.interfaces import Posterior, Shape
from ratedistortion.models.likelihoods import Likelihood, LinearOutputs
from ratedistortion.models.own import told
from ratedistortion.settings import Settings, code

_IMAGES = 3  # of the shapes that are tried
_ROWS = 10_000  # images whose values are looked at at once

Build = Callable[..., Any]


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
        for wide in (False, True):
            with jax.enable_x64(wide):
                if family == "encoder":
                    _encoder(what, member, size, settings.latents)
                elif family == "decoder":
                    _decoder(what, member, size, settings.latents, outputs)
                else:
                    _prior(what, member, settings.latents)


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


def _encoder(what: str, member: Any, size: int, latents: int) -> None:
    gaussian = _flag(what, member, "gaussian", interfaces.Encoder)
    codes: dict[str, tuple[int, ...]] = {"mean": (_IMAGES, latents), "log_scale": (_IMAGES, latents)}

    def posterior(member: Any, x: Any) -> dict[str, Any]:
        found = member(x)
        if not isinstance(found, Posterior):
            raise SettingsError(
                f"{what} must return interfaces.Posterior(mean, log_scale): got"
                f" {type(found).__name__}."
            )
        return {name: part for name, part in found._asdict().items() if part is not None}

    x = _array(_IMAGES, size)
    if gaussian:
        _compare(what, posterior, (member, x), codes)
        return
    _offers(what, member, interfaces.FlowingEncoder)
    context = jax.eval_shape(posterior, member, x).get("context")
    if context is None:
        raise SettingsError(f"{what}: with gaussian = False its Posterior must have a context.")
    features = context.shape[1:]
    _compare(what, posterior, (member, x), {**codes, "context": (_IMAGES, *features)})
    for dtype in _dtypes():
        start, own = _array(_IMAGES, latents, dtype=dtype), _cast(member, dtype)
        given = own, start, _array(_IMAGES, *features, dtype=dtype)
        for name in ("flow", "unflow"):

            def moved(own: Any, start: Any, context: Any, name: str = name) -> dict[str, Any]:
                return {name: getattr(own, name)(start, context)}

            _compare(what, moved, given, {name: start.shape}, dtype)


def _decoder(what: str, member: Any, size: int, latents: int, outputs: int) -> None:
    z, x, all_outputs = _array(_IMAGES, latents), _array(_IMAGES, size), (_IMAGES, size * outputs)
    if not _flag(what, member, "autoregressive", interfaces.Decoder):
        _compare(what, lambda own, z: {"outputs": own(z)}, (member, z), {"outputs": all_outputs})
        return
    _offers(what, member, interfaces.AutoregressiveDecoder)
    _compare(
        what, lambda own, z, x: {"outputs": own(z, x)}, (member, z, x), {"outputs": all_outputs}
    )

    def one(member: Any, z: Any, x: Any) -> dict[str, Any]:
        before = member.cache(z)
        found, after = member.one(jnp.int32(0), x, before)
        kinds = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), part) for part in (before, after)]
        if kinds[0] != kinds[1]:
            raise SettingsError(f"{what}: `one` must return a cache of the shapes that it was given.")
        return {"outputs of one": found}

    _compare(what, one, (member, z, x), {"outputs of one": (_IMAGES, outputs)})


def _prior(what: str, member: Any, latents: int) -> None:
    if _flag(what, member, "uses_encoder"):
        _offers(what, member, interfaces.EncoderPrior)

        def encode(x: Any) -> Posterior:
            nothing = jnp.zeros((len(x), latents), x.dtype)
            return Posterior(nothing, nothing)

        member = jax.eval_shape(lambda own: own.given(encode), member)
    gaussian = _flag(what, member, "gaussian", interfaces.Prior)
    codes = (_IMAGES, latents)
    _compare(
        what,
        lambda own: {"sample": own.sample(jax.random.key(0), _IMAGES)},
        (member,),
        {"sample": codes},
    )
    if gaussian:
        _offers(what, member, interfaces.GaussianPrior)
    for dtype in _dtypes():
        own, z = _cast(member, dtype), _array(*codes, dtype=dtype)
        density_of = {"log_density": (_IMAGES,)}
        _compare(what, lambda own, z: {"log_density": own.log_density(z)}, (own, z), density_of, dtype)
        if gaussian:
            pair = {"standardised mean": codes, "standardised log_scale": codes}
            _compare(
                what,
                lambda own, *given: dict(zip(pair, own.standardize(*given), strict=True)),
                (own, z, z),
                pair,
                dtype,
            )


def _likelihood(what: str, made: Any, size: int) -> None:
    if not isinstance(made, Likelihood):
        raise SettingsError(f"{what} must be a likelihoods.Likelihood: got {type(made).__name__}.")
    outputs: Any = made.outputs
    if not isinstance(outputs, int) or outputs < 1:
        raise SettingsError(f"{what}: outputs must be a whole number of at least 1: got {outputs!r}.")
    x, given = _array(_IMAGES, size), _array(_IMAGES, size, outputs)
    for wide in (False, True):
        with jax.enable_x64(wide):
            _compare(
                what,
                lambda x, given: {"log_density": made.log_density(x, given)},
                (x, given),
                {"log_density": (_IMAGES,)},
            )
            for shape in ((_IMAGES, size), (_IMAGES,)):  # of all dimensions, and of one
                _compare(
                    what,
                    lambda given: {
                        "mean": made.mean(given),
                        "sample": made.sample(jax.random.key(0), given),
                    },
                    (_array(*shape, outputs),),
                    {"mean": shape, "sample": shape},
                )

    def linear(average: Any) -> dict[str, Any]:
        found = LinearOutputs(*made.linear(average))
        return {f"{name} of linear": jnp.asarray(part) for name, part in found._asdict().items()}

    shapes = {"slope of linear": (outputs,), "bias of linear": (size, outputs)}
    _compare(what, linear, (_array(size),), {**shapes, "noise of linear": ()})


def _compare(
    what: str,
    function: Callable[..., dict[str, Any]],
    arguments: tuple[Any, ...],
    shapes: dict[str, tuple[int, ...]],
    dtype: Any = jnp.float32,
) -> None:
    """Refuses results whose shapes are not these, or whose dtype is another."""
    found = jax.eval_shape(function, *arguments)
    for name, shape in shapes.items():
        got = found[name]
        if (got.shape, got.dtype) != (shape, jnp.dtype(dtype)):
            expected = f"{jnp.dtype(dtype)} {shape} for {_IMAGES} images"
            reason = f"{what}: {name} must be {expected}: got {got.dtype} {got.shape}"
            if got.shape == shape and got.dtype == jnp.float64:
                reason += " where 64-bit numbers are on: write the dtype, as in jnp.zeros(3, x.dtype)"
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


def _array(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _dtypes() -> tuple[Any, ...]:
    """The precisions of densities: also float64 where 64-bit numbers are on."""
    return (jnp.float32, jnp.float64) if jax.config.jax_enable_x64 else (jnp.float32,)


def _cast(member: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: _array(*leaf.shape, dtype=dtype), member)
