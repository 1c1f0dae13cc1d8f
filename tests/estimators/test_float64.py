"""Every estimator refuses to compute in float32, where log densities lose nats without a word."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import estimators
from ratedistortion.estimators import Posteriors

WAY_OUT = (
    "Call it inside `with jax.enable_x64(True):`, with float64 arrays that were made there too."
)


def posteriors(mean=jnp.float64, scale=jnp.float64) -> Posteriors:
    return Posteriors(jnp.zeros((3, 2), mean), jnp.ones((3, 2), scale))


def numbers(dtype: type, *shape: int) -> jax.Array:
    return jnp.zeros(shape, dtype)


# Name of the function, and its call with arrays of a type.
CALLS = {
    "mixture_terms": lambda dtype: estimators.mixture_terms(
        numbers(dtype, 3, 2), jnp.arange(3), posteriors(dtype, dtype)
    ),
    "pairwise_kl_upper_bound": lambda dtype: estimators.pairwise_kl_upper_bound(
        jnp.arange(3), posteriors(dtype, dtype)
    ),
    "bhattacharyya_lower_bound": lambda dtype: estimators.bhattacharyya_lower_bound(
        jnp.arange(3), posteriors(dtype, dtype)
    ),
    "dense_terms": lambda dtype: estimators.dense_terms(numbers(dtype, 3, 4), jnp.arange(3)),
    "kl_of_moments": lambda dtype: estimators.kl_of_moments(
        numbers(dtype, 3, 2), jnp.eye(2, dtype=dtype)
    ),
    "marginal_kl_gaussian": lambda dtype: estimators.marginal_kl_gaussian(posteriors(dtype, dtype)),
    "subset_bounds": lambda dtype: estimators.subset_bounds(numbers(dtype, 3, 3)),
    "importance_weighted_nll": lambda dtype: estimators.importance_weighted_nll(
        lambda k: numbers(dtype, 3), 2, 3
    ),
    "estimate": lambda dtype: estimators.estimate(numbers(dtype, 3)),
}
functions = pytest.mark.parametrize("name", CALLS)


@functions
def test_float32_arrays_are_refused_by_name(name):
    with jax.enable_x64(True), pytest.raises(ValueError, match=f"^{name} needs float64: ") as info:
        CALLS[name](jnp.float32)
    assert " is float32. " in str(info.value) and str(info.value).endswith(WAY_OUT)


@functions
def test_a_call_outside_enable_x64_is_refused(name):
    with pytest.raises(ValueError, match=f"^{name} needs float64: ") as info:
        CALLS[name](jnp.float32)
    assert "64-bit numbers are off" in str(info.value) and str(info.value).endswith(WAY_OUT)


@functions
def test_float64_arrays_are_taken(name):
    with jax.enable_x64(True):
        results = jax.tree.leaves(CALLS[name](jnp.float64))
    assert any(leaf.dtype == np.float64 for leaf in results)
    assert all(np.all(np.isfinite(leaf)) for leaf in results)


def test_every_public_estimator_is_tested_here():
    public = {name for name in estimators.__all__ if name.islower()}
    assert public == set(CALLS)


def test_the_line_names_every_array_that_is_not_float64():
    with jax.enable_x64(True), pytest.raises(ValueError) as info:
        estimators.mixture_terms(
            numbers(jnp.float32, 3, 2), jnp.arange(3), posteriors(scale=jnp.float32)
        )
    assert str(info.value) == (
        f"mixture_terms needs float64: noise is float32, posteriors.scale is float32. {WAY_OUT}"
    )


def test_float64_arrays_outside_enable_x64_are_refused():
    """Some of JAX's operations would still give float64 there, and others float32."""
    with jax.enable_x64(True):
        given = posteriors()
    with pytest.raises(ValueError, match="64-bit numbers are off"):
        estimators.marginal_kl_gaussian(given)


def test_a_function_compiled_inside_enable_x64_is_refused_outside():
    compiled = jax.jit(estimators.estimate)
    terms = np.array([1.0, 2.0])
    with jax.enable_x64(True):
        assert compiled(terms).value == 1.5
    with pytest.raises(ValueError, match="64-bit numbers are off"):
        compiled(terms)
