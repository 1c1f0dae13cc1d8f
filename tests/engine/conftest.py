"""What the tests of the engine share."""

import pytest
from tiny_engine import settings_of

from ratedistortion import datasets
from ratedistortion.datasets import Dataset


@pytest.fixture(scope="session")
def data() -> Dataset:
    return datasets.load(settings_of())
