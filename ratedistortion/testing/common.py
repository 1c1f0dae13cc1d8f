"""What the checks of all families share: one small model with the member, and how it is run."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.models.contract import check_member
from ratedistortion.models.families import members
from ratedistortion.models.interfaces import Shape
from ratedistortion.models.skip import Skip
from ratedistortion.settings import Settings

IMAGES = 4  # of what a member is tried on
# An image of six values, hidden layers as wide: few shapes, so that little is compiled.
SHAPE: Shape = (2, 3, 1)
_TOLERANCE = 1e-4  # by which the same number may differ when it is computed in another way

Build = str | Callable[..., Any]


def require(condition: Any, sentence: str) -> None:
    """Raises AssertionError with a sentence unless a condition holds.

    Args:
        condition: A truth value.
        sentence: What is wrong if it is false.
    """
    if not condition:
        raise AssertionError(sentence)


def require_close(
    found: Any,
    expected: Any,
    sentence: str,
    rtol: float = _TOLERANCE,
    atol: float = _TOLERANCE,
) -> None:
    """Raises AssertionError with a sentence, and the worst pair, unless numbers are close.

    Args:
        found: Numbers.
        expected: As many.
        sentence: What is wrong if they differ, without its full stop.
        rtol: Relative difference that is allowed.
        atol: Absolute difference that is allowed besides.
    """
    found, expected = np.broadcast_arrays(np.asarray(found, float), np.asarray(expected, float))
    worst = np.argmax(np.nan_to_num(abs(found - expected) - rtol * abs(expected), nan=np.inf))
    got, wanted = found.flat[worst], expected.flat[worst]
    close = np.allclose(found, expected, rtol, atol)
    require(close, f"{sentence}: got {got:.6g}, expected {wanted:.6g}.")


def key_of(number: Any) -> jax.Array:
    """A key of JAX.

    Args:
        number: A whole number, the same for the same key.
    """
    return jax.random.key(number, impl="threefry2x32")


def small_settings(settings: Settings | None) -> Settings:
    """Settings with which members are built quickly.

    Args:
        settings: Taken as they are, but for None, and latents that are not said: these become 3.
    """
    settings = settings or Settings(
        dataset="made", hidden=(6,), channels=(2,), strides=(1,), components=3, levels=2
    )
    return dataclasses.replace(settings, latents=settings.latents or 3)


def model_with(family: str, build: Build, settings: Settings, shape: Shape) -> Autoencoder:
    """A model with the member, once its shapes and types are checked.

    Args:
        family: That of the member.
        build: The function that builds it, or its name as settings have it.
        settings: For the member, and for the others of the model.
        shape: Of an image or a vector.

    Raises:
        AssertionError: If it does not keep to its Protocol.
    """
    try:
        if isinstance(build, str):
            build = members(dataclasses.replace(settings, **{family: build}))[family]
        builders = members(settings) | {family: build}
        name = getattr(build, "__name__", type(build).__name__)
        check_member(family, name, builders, settings, shape)
        return Autoencoder(settings, shape, builders=builders)
    except SettingsError as error:
        raise AssertionError(str(error)) from error


def random_like(tree: Any, seed: int, count: int | None = None) -> Any:
    """Random parameters, far from those of the start, with the shapes of others.

    Args:
        tree: Arrays, or their shapes.
        seed: The same for the same numbers.
        count: How many such trees, as a first axis of every leaf; None for one, without the axis.
    """
    random, first = np.random.default_rng(seed), () if count is None else (count,)
    return jax.tree.map(
        lambda leaf: jnp.asarray(random.normal(0, 0.4, (*first, *leaf.shape)), jnp.float32), tree
    )


def random_maps(skip: Skip) -> Skip:
    """Random linear maps beside the networks, with every latent open.

    Args:
        skip: Their shapes.
    """
    return random_like(skip, 3)._replace(open=jnp.ones(skip.open.shape, jnp.float32))


def check_build(what: str, build: Callable[[Any], Any]) -> None:
    """Checks that members which are built together are each built from its own key.

    Args:
        what: What to call the member.
        build: From a key to the member.
    """
    one = jax.tree.leaves(jax.jit(build)(key_of(4)))
    many = jax.tree.leaves(jax.jit(jax.vmap(build))(jax.vmap(key_of)(jnp.array([4, 5]))))
    for leaf, leaves in zip(one, many, strict=True):
        sentence = f"{what}: built under jax.vmap it differs from one that is built alone"
        require_close(leaves[0], leaf, sentence, 1e-6, 1e-7)
        if leaves[0].size and np.ptp(leaves[0]) > 0:
            differ = np.any(leaves[0] != leaves[1])
            require(differ, f"{what}: its initial parameters do not depend on the key.")


def check_computing(
    what: str, compute: Callable[[Any], tuple[jax.Array, dict[str, Any]]], trained: Any
) -> dict[str, np.ndarray]:
    """Checks results, and gradients by every parameter: compiled, for many models at once.

    Args:
        what: What to call the member.
        compute: From parameters to a loss and all results, which are float32.
        trained: The parameters, or their shapes.

    Returns:
        The results with the first of two sets of random parameters, computed without compiling.
    """
    many = random_like(trained, 4, 2)
    gradients, together = jax.jit(jax.vmap(jax.grad(compute, has_aux=True)))(many)
    _, alone = compute(jax.tree.map(lambda leaf: leaf[0], many))
    for name, value in alone.items():
        finite = value.dtype == jnp.float32 and np.isfinite(value).all()
        require(finite, f"{what}: {name} must be finite numbers in float32.")
        sentence = f"{what}: under jax.jit and jax.vmap, for two models at once, {name} differs"
        require_close(together[name][0], value, sentence)
    for path, leaf in jax.tree.leaves_with_path(gradients):
        place = jax.tree_util.keystr(path)
        finite = np.isfinite(leaf).all()
        require(finite, f"{what}: the gradient by {place} is not finite.")
        require(np.any(leaf), f"{what}: the gradient by {place} is 0: it would not be trained.")
    return jax.tree.map(np.asarray, alone)


def check_alone(what: str, function: Callable[..., jax.Array], *arguments: jax.Array) -> None:
    """Checks that what a member gives for an image does not depend on the images beside it.

    Args:
        what: What to call the result.
        function: From arrays with one row for each image to another such array.
        arguments: Of the function.
    """
    compiled = jax.jit(lambda *rows: function(*rows))  # quicker than each operation by itself
    together, alone = compiled(*arguments), compiled(*(each[:1] for each in arguments))
    require_close(alone, together[:1], f"{what} of an image depends on the images beside it")
