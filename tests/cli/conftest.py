"""One sweep that the tests of the commands read, and copies of it that they may change."""

import shutil
from pathlib import Path

import pytest
from commands import SWEEP, rd_sweep


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The directory of a whole sweep, and what the command printed; tests only read it."""
    path = tmp_path_factory.mktemp("runs") / "undisturbed"
    return path, rd_sweep(path, *SWEEP, "--json")


@pytest.fixture
def finished(undisturbed, tmp_path):
    """A copy that a test may change."""
    return Path(shutil.copytree(undisturbed[0], tmp_path / "finished"))


@pytest.fixture
def almost_finished(finished):
    """A copy that lacks the measurements of its second chunk, and the table."""
    (finished / "rd.parquet").unlink()
    (finished / "chunks" / "0001" / "result").unlink()
    return finished
