"""Runs spread over more devices than this machine has cores: eight virtual ones."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from ratedistortion.engine.devices import find_devices
from ratedistortion.errors import SettingsError
from ratedistortion.settings import Settings

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

PROGRAM = """
import sys
import numpy as np
import tiny_engine
from ratedistortion import datasets
from ratedistortion.engine.engine import leaves
from ratedistortion.engine.plan import Plan
from ratedistortion.training.state import selected
values = {"betas": tuple(float(n) for n in range(6))}
data = datasets.load(tiny_engine.settings_of())
found = {}
for count, width in ((1, 6), (8, 8)):
    start = None  # of both batchings, so that it is compiled once
    for batching in ("map", "vmap"):
        engine = tiny_engine.engine_of(data, Plan(batching, count, width, 1), **values)
        runs = engine.sweep.runs
        if start is None:
            start = leaves(next(engine.train(runs)).state)
        state = list(engine.train(runs, start))[-1].state
        for n, leaf in enumerate(leaves(state)):
            found[f"{batching} {count} {n}"] = leaf[:6]
        for m in engine.measure(runs, selected(state)):
            measured = m.measurement.information.mutual_information.value
            found[f"{batching} {count} {m.run.beta} {m.split}"] = measured
np.savez(sys.argv[1], **found)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, np.ndarray]:
    path = tmp_path_factory.mktemp("devices") / "found.npz"
    environment = os.environ | {
        "JAX_NUM_CPU_DEVICES": "8",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    subprocess.run([sys.executable, "-c", PROGRAM, path], env=environment, check=True, timeout=300)
    with np.load(path) as arrays:
        return dict(arrays)


def pairs(found: dict[str, np.ndarray], batching: str):
    names = [name for name in found if name.startswith(f"{batching} 1 ")]
    assert len(names) > 20
    return [(found[name], found[name.replace(" 1 ", " 8 ", 1)], name) for name in names]


def test_mapped_runs_are_the_same_bits_on_eight_devices_as_on_one(found):
    """Six runs one after another on one device; each on its own, two padded, on eight."""
    for one, eight, name in pairs(found, "map"):
        np.testing.assert_array_equal(one, eight, err_msg=name)


def test_batched_runs_agree_to_four_digits(found):
    """One batch of six is compiled to other products than six batches of one."""
    for one, eight, name in pairs(found, "vmap"):
        np.testing.assert_allclose(one, eight, rtol=1e-3, atol=1e-4, err_msg=name)


def test_settings_of_jax_that_leave_nothing_to_compute_with(monkeypatch):
    with jax.disable_jit(), pytest.raises(SettingsError, match="^JAX_DISABLE_JIT: "):
        find_devices(Settings())

    def nothing(**_: object) -> None:
        raise RuntimeError("Unable to initialize backend 'cuda'")

    monkeypatch.setattr(jax, "local_devices", nothing)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(SettingsError, match="^JAX_PLATFORMS: JAX finds none of 'cuda' here"):
        find_devices(Settings())
    with pytest.raises(SettingsError, match="^device: JAX sees no gpu"):
        find_devices(Settings(device="gpu"))
