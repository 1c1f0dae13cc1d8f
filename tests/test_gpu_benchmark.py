"""The benchmark of GPUs runs where there is none, so that a GPU finds no mistake of typing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

ROOT = Path(__file__).parents[1]
# Nothing is timed here, so that quick compilation is better than quick programs.
FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
QUICK = {"PYTHONPATH": str(ROOT), "XLA_FLAGS": FLAGS}
RECIPE = 'dataset = "bits"\nbetas = [0.5, 2]\nhidden = [8]\nlatents = 2\nepochs = 3\n'


@pytest.mark.slow
def test_parts_that_need_neither_gpu_nor_pytorch_run_in_small(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (120, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "bits.npz", train=bits[:100], test=bits[100:])
    Path(tmp_path, "small.toml").write_text(RECIPE)
    done = subprocess.run(
        [sys.executable, "tests/benchmarks/gpu.py", tmp_path / "bits.npz", "--tiny",
         "--only", "sweep", "roofline", "eager", "corners", "--recipes", tmp_path / "small.toml",
         "--torch", tmp_path / "no-python", "-o", tmp_path, "--work", tmp_path / "work"],
        cwd=ROOT, env=os.environ | QUICK, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "gpu.jsonl").read_text().splitlines()
    rows = {(row["part"], row["quantity"]): row for row in map(json.loads, lines)}
    assert {part for part, _ in rows} == {"sweep", "roofline", "eager", "corners"}
    assert "no PyTorch" in rows["eager", "failure"]["competitor"]
    assert "eager, 16-16: not measured: no PyTorch" in done.stdout
    assert rows["sweep", "time"]["median"] > rows["sweep", "train_seconds"]["median"] > 0
    assert rows["roofline", "time"]["median"] > 0
    assert rows["corners", "D"]["median"] > 0 and rows["corners", "D"]["case"] == "small"
    goals = pandas.read_csv(tmp_path / "gpu.csv")
    assert len(goals) == 5 and set(goals["verdict"]) == {"no GPU"}
