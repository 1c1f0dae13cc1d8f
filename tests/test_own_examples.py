"""The examples with code of their own run, on less data, and keep to the contract."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ratedistortion as rd
from ratedistortion.testing import check_encoder, check_likelihood

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

SMALL = {"betas": (0.3, 30.0), "hidden": (8,), "latents": 2}


@pytest.fixture(autouse=True)
def examples(monkeypatch) -> Iterator[None]:
    """They can be imported; what they import is forgotten."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")
    yield
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_an_encoder_with_attention(tmp_path, compiled_quickly, capsys):
    from own_encoder import attention, main

    check_encoder(attention, shape=(4, 4, 1))
    main(tmp_path, **SMALL, max_examples=200, steps=10)
    assert (tmp_path / "curve.png").exists() and "attention" in capsys.readouterr().out
    table = rd.read(tmp_path / "attention")
    assert set(table["encoder"]) == {"own_encoder.py:attention"}
    assert set(table["status"]) == {"ok"} and np.isfinite(table["mutual_information"]).all()


def test_a_likelihood_of_counts(tmp_path, compiled_quickly, capsys):
    from own_likelihood import main, poisson

    check_likelihood(poisson, values=range(100))
    main(tmp_path, **SMALL, examples=600, steps=100)
    table = rd.read(tmp_path / "sweep")
    assert set(table["status"]) == {"ok"} and "negative_elbo" in capsys.readouterr().out
    assert set(table["likelihood"]) == {"own_likelihood.py:poisson"}
    # A code tells something: with less of the rate in the loss the distortion is lower.
    low, high = table[table["split"] == "test"]["distortion"]
    assert low < high
