"""The examples in docstrings print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import ratedistortion

HOUSE = Path(ratedistortion.__file__).parent
MODULES = [
    "api",
    *(f"estimators.{path.stem}" for path in sorted(HOUSE.glob("estimators/[!_]*.py"))),
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(f"ratedistortion.{name}"))
    assert result.attempted > 0 and result.failed == 0
