"""The parameters of a model by flat names, as files keep them: `decoder.layers.0.kernel`."""

from collections.abc import Mapping
from typing import Any

import jax


def flat(model: Any) -> dict[str, Any]:
    """The arrays of a model by name.

    Args:
        model: Any pytree of arrays or of their shapes, such as `autoencoder.Model`.

    Returns:
        Name -> leaf. A name is the way to the leaf, by attributes and places in lists.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(model)
    return {_name(path): leaf for path, leaf in paths}


def filled(model: Any, parameters: Mapping[str, Any]) -> Any:
    """A model whose arrays are replaced.

    Args:
        model: A model, or its shapes.
        parameters: Name -> array, every name that `flat` gives of the model.

    Raises:
        ValueError: If a name is missing, or a shape or dtype differs.
    """

    def one(path: Any, leaf: Any) -> Any:
        name = _name(path)
        if name not in parameters:
            raise ValueError(f"{name} is missing")
        found = parameters[name]
        if (found.shape, found.dtype) != (leaf.shape, leaf.dtype):
            raise ValueError(
                f"{name}: expected {leaf.dtype} {leaf.shape}, got {found.dtype} {found.shape}"
            )
        return found

    return jax.tree_util.tree_map_with_path(one, model)


def _name(path: Any) -> str:
    # Flax keeps the array of a parameter in its attribute `value`, which says nothing.
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
