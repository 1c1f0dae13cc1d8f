"""The example that rebuilds a model from its parameters runs without JAX and this package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_engine import settings_of

import ratedistortion as rd

EXAMPLES = Path(__file__).parents[1] / "examples"
# A fresh environment: neither this package nor the libraries that it computes with.
ALONE = """
import runpy, sys
for name in ("ratedistortion", "jax", "flax", "pandas", "scipy"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.usefixtures("compiled_quickly")
def test_numpy_rebuilds_a_model_from_its_parameters(tmp_path):
    """The reconstructions of the gallery, which the engine computed, to 1e-5."""
    settings = settings_of(decoder="mlp", hidden=(8, 6), max_examples=60, codes=60)
    rd.sweep(settings, tmp_path / "run", progress=False)
    command = [sys.executable, "-c", ALONE, EXAMPLES / "use_parameters.py", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    errors = re.findall(
        r"^models/beta=.*,seed=0.safetensors: differs by (\S+) at", done.stdout, re.M
    )
    assert len(errors) == 3 and max(map(float, errors)) < 1e-5
