"""A mean and its standard error, against NumPy."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion.estimators import Estimate, estimate

pytestmark = pytest.mark.usefixtures("float64")


def test_an_estimate_is_a_mean_and_its_standard_error():
    terms = np.array([1.0, 2.0, 4.0, 9.0])
    value, error = estimate(jnp.asarray(terms))
    assert float(value) == 4.0
    assert float(error) == pytest.approx(np.std(terms, ddof=1) / 2, rel=1e-15)


def test_one_term_has_no_standard_error():
    value, error = Estimate(*map(float, estimate(jnp.array([3.0]))))
    assert value == 3.0 and math.isnan(error)
