import mnist_like
import pytest


@pytest.fixture(scope="session")
def frame(tmp_path_factory):
    """A table of eight betas and two seeds, like a sweep of MNIST. No test changes it."""
    return mnist_like.read(tmp_path_factory.mktemp("table"), mnist_like.rows())
