"""Sweeps that are stopped, killed, damaged or go on elsewhere."""

import json
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import signalled_sweep
from commands import STEPS, SWEEP, check_error, rd_sweep, run, tree
from resealing import reseal, unsealed

import ratedistortion
from ratedistortion.cli.signals import listen
from ratedistortion.errors import RunDirectoryError
from ratedistortion.progress import Progress
from ratedistortion.table import parquet

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

COMMAND = Path(sys.executable).with_name("rd-sweep")


def killed_at(event, count, *arguments):
    program = signalled_sweep.__file__
    killed = run(sys.executable, program, "SIGKILL", event, count, *arguments)
    assert killed.returncode == -signal.SIGKILL, killed.stderr


@pytest.mark.slow
def test_kill_9_anywhere_then_the_same_command_gives_the_same_bytes(undisturbed, tmp_path):
    path = tmp_path / "run"
    first, second = (path / "chunks" / name for name in ("0000", "0001"))

    killed_at("Trained", 8, path, *SWEEP)  # while the first chunk trains
    assert (first / "state").exists() and not (first / "result").exists()
    killed_at("ChunkDone", 1, path, *SWEEP)  # between the chunks
    assert (first / "result").exists() and not second.exists()
    killed_at("Measured", 2, path, *SWEEP)  # while the second is measured
    assert (second / "rows").exists() and not (second / "result").exists()
    assert not (path / "rd.parquet").exists()

    result = run(COMMAND, path, *SWEEP, "--json")
    assert result.returncode == 0 and json.loads(result.stdout)["runs"] == 4
    assert "chunk 2 of 2 done" in result.stderr and "\x1b" not in result.stderr
    for name in ("rd.parquet", "images.npz"):
        assert (path / name).read_bytes() == (undisturbed[0] / name).read_bytes()
    assert not list(path.rglob("*.tmp"))


def test_signals_stop_with_a_checkpoint_and_the_same_command_finishes(
    undisturbed, tmp_path, monkeypatch
):
    path = tmp_path / "run"

    def stopped_by(name, count, code, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(Progress, "report", signalled_sweep.signalling(name, "Trained", count))
            result = rd_sweep(path, *arguments, "--quiet")
        check_error(result, code, f"stopped by {name} with a checkpoint", f"`rd-sweep {path}`")
        assert 0 < unsealed(path / "chunks" / "0000" / "state")["steps"] < STEPS

    stopped_by("SIGINT", 8, 130, *SWEEP)
    stopped_by("SIGTERM", 1, 75)  # RUN_DIR alone continues
    result = rd_sweep(path, *SWEEP, "--quiet", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (path / "rd.parquet").read_bytes() == (undisturbed[0] / "rd.parquet").read_bytes()


def test_a_table_that_was_lost_is_made_again_from_the_chunks(finished, undisturbed):
    before = (finished / "rd.parquet").read_bytes()
    (finished / "rd.parquet").unlink()
    (finished / "images.npz").unlink()
    result = rd_sweep(finished, "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["train_seconds"] == summary["model_steps_per_second"] == 0
    assert (finished / "rd.parquet").read_bytes() == before
    assert (finished / "images.npz").read_bytes() == (undisturbed[0] / "images.npz").read_bytes()


def test_signals_that_were_ignored_stay_ignored():
    """As under nohup, and in the background of a script."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listen() as stop_signal:
            signal.raise_signal(signal.SIGHUP)
            assert stop_signal() is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_first_signal_is_kept_and_the_second_acts_at_once():
    before = signal.getsignal(signal.SIGINT)
    with listen() as stop_signal:
        assert stop_signal() is None
        signal.raise_signal(signal.SIGINT)
        assert stop_signal() == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no way to take cores away")
@pytest.mark.slow
def test_a_sweep_of_two_cores_goes_on_with_one(undisturbed, almost_finished, monkeypatch):
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES")
    program = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from ratedistortion.cli.sweep import main
main()
"""
    result = run(sys.executable, "-c", program, almost_finished, "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    stored, again = (ratedistortion.read(path) for path in (undisturbed[0], almost_finished))
    pandas.testing.assert_frame_equal(stored, again, rtol=1e-3)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
@pytest.mark.slow
def test_a_sweep_ends_well_where_standard_error_cannot_be_written(almost_finished, redirection):
    command = shlex.join([str(COMMAND), str(almost_finished), "--json"])
    result = run("sh", "-c", f"{command} {redirection}")
    assert result.returncode == 0 and json.loads(result.stdout)["runs"] == 4
    assert len(ratedistortion.read(almost_finished)) == 8


def test_damage_is_one_line_and_exit_4(finished):
    manifest = finished / "manifest.json"
    values, whole = unsealed(manifest), manifest.read_bytes()
    (finished / "rd.parquet").unlink()
    changed = ({"layers": 3}, {"betas": [-1]})
    changes = [{"settings": values["settings"] | change} for change in changed]
    (part,) = values["parts"]
    plans = ({}, part["plan"] | {"chunks": 1})
    changes += [{"parts": [part | {"plan": plan}]} for plan in plans]
    for change in (*changes, {"parts": [part | {"runs": [3]}]}, {"parts": [{}]}):
        reseal(manifest, **(values | change))
        check_error(rd_sweep(finished), 4, "manifest.json", "damaged")
    reseal(manifest, **(values | {"data_sha256": "0" * 64}))
    check_error(rd_sweep(finished), 4, "digits has changed since this sweep began")
    manifest.write_bytes(whole)
    # A chunk of this sweep in the place of another, and a checkpoint of another model.
    first, second = (finished / "chunks" / name for name in ("0000", "0001"))
    first.rename(finished / "kept")
    shutil.copytree(second, first)
    check_error(rd_sweep(finished, "--quiet"), 4, "chunks/0000", "damaged", "delete")
    shutil.rmtree(first)
    (finished / "kept").rename(first)
    (second / "result").unlink()
    stopped = (sys.executable, signalled_sweep.__file__, "SIGTERM", "Trained", 2, finished)
    assert run(*stopped, "--quiet").returncode == 75
    state = (second / "state").read_bytes()
    does_not_fit = ({"steps": STEPS + 1}, {"steps": -1}, {"arrays": {"leaf0": np.zeros(3)}})
    words = [(change, "does not fit") for change in does_not_fit]
    words += [({name: 0}, f"belongs to another {name}") for name in ("sweep", "chunk")]
    for change, word in words:
        reseal(second / "state", **change)
        check_error(rd_sweep(finished, "--quiet"), 4, "0001/state", word, "delete")
        (second / "state").write_bytes(state)
    # Rows that are none of this sweep's.
    rows = unsealed(first / "result")["rows"]
    for row in ({}, 3, rows[0] | {"beta": 7.5}, rows[0] | {"rate": "x"}):
        reseal(first / "result", rows=[row])
        with pytest.raises(RunDirectoryError, match="it is damaged"):
            ratedistortion.read(finished)
    # And a table of another sweep.
    (finished / "rd.parquet").write_bytes(parquet.write([], {"settings": {}}))
    check_error(rd_sweep(finished), 4, "rd.parquet", "not the table of this run directory")
    (finished / "rd.parquet").write_bytes(b"PAR1")
    check_error(rd_sweep(finished), 4, "rd.parquet", "damaged")


def test_only_a_finished_sweep_of_an_older_version_is_of_use(finished):
    """Schema 1 had no `data_files`, and other numbers."""
    manifest = finished / "manifest.json"
    values = unsealed(manifest)
    older = {name: value for name, value in values.items() if name not in ("data_files", "parts")}
    manifest.write_text(json.dumps(older | {"schema": 1, "plan": values["parts"][0]["plan"]}))
    shown = rd_sweep(finished, *SWEEP)
    assert (shown.exit_code, shown.stderr) == (0, "") and "test split" in shown.stdout
    assert rd_sweep(finished, "--dry-run").exit_code == 0
    before = tree(finished)
    extended = rd_sweep(finished, "--extend", "--betas", "1")
    check_error(extended, 4, f"{finished} was begun by an older version", "another directory")
    assert tree(finished) == before
    (finished / "rd.parquet").unlink()
    before = tree(finished)
    for arguments in ((), SWEEP, ("--dry-run",)):
        result = rd_sweep(finished, *arguments)
        check_error(result, 4, f"{finished} was begun by an older version", "another directory")
    assert tree(finished) == before


def test_a_warning_when_the_library_or_the_device_is_another(finished):
    manifest = finished / "manifest.json"
    versions = unsealed(manifest)["versions"] | {"jax": "0.0.1"}
    reseal(manifest, device="Abacus", versions=versions)
    (finished / "rd.parquet").unlink()
    result = rd_sweep(finished, "--quiet")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: begun with Abacus, jax 0.0.1, continued with ")
    assert result.stderr.count("\n") == 1
