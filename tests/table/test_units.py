import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratedistortion.errors import SettingsError
from ratedistortion.table.units import UNITS, per_nat, unit_words


@pytest.mark.parametrize("units, factor", [("nats", 1.0), ("bits", 1.4426950408889634)])
def test_factors(units, factor):
    """log2(e), from any table of constants."""
    assert per_nat(units, 784) == pytest.approx(factor, rel=1e-15)


def test_one_fair_coin_is_one_bit():
    assert math.log(2) * per_nat("bits", 1) == pytest.approx(1, rel=1e-15)


@settings(derandomize=True, deadline=None, database=None)
@given(st.integers(1, 10**6))
def test_bits_per_dimension_times_dimensions_are_bits(dimensions):
    total = per_nat("bits-per-dim", dimensions) * dimensions
    assert total == pytest.approx(per_nat("bits", dimensions), rel=1e-14)


def test_another_name_is_refused():
    with pytest.raises(SettingsError) as caught:
        per_nat("bytes", 3)
    assert str(caught.value) == "units must be one of nats, bits, bits-per-dim: got 'bytes'."


def test_every_unit_has_its_words():
    words = ["nats per image", "bits per image", "bits per dimension"]
    assert [unit_words(units) for units in UNITS] == words
