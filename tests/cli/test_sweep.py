"""rd-sweep as its users meet it: streams, exit codes, bad input, signals, kills, resumption."""

import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import jax
import numpy as np
import pandas
import pyarrow.parquet
import pytest
from click.testing import CliRunner

import ratedistortion
from ratedistortion import events, progress
from ratedistortion.cli import results
from ratedistortion.cli.signals import listen
from ratedistortion.cli.sweep import main
from ratedistortion.table import NATS_COLUMNS, parquet

SIGNALLED = Path(__file__).with_name("signalled_sweep.py")
COMMAND = Path(sys.executable).with_name("rd-sweep")
SMALL = ("--max-examples", "200", "--hidden", "8", "--latents", "2")
BETAS = (0.05, 0.5, 2.0, 8.0)
# Two chunks of two runs; long enough that a run has many blocks, short enough to repeat.
SWEEP = (*SMALL, "--steps", "3000", "--learning-rate", "0.01", "--betas", "0.05,0.5,2,8")
SWEEP += ("--runs-at-once", "2", "--save-posteriors")
SUMMARY = (
    "run_dir runs ok diverged suspect seconds compile_seconds train_seconds measure_seconds"
    " model_steps_per_second device batching table"
).split()
# These names in this order; more may follow.
COLUMNS = (
    "dataset split beta seed encoder decoder prior likelihood latents dimensions examples steps"
    " status diverged_at_step rate rate_se distortion distortion_se negative_elbo negative_elbo_se"
    " mutual_information mutual_information_se mutual_information_lower mutual_information_upper"
    " log_examples saturated marginal_kl marginal_kl_se marginal_kl_gaussian identity_residual"
    " population_information_upper active_units"
).split()


def invoke(*arguments):
    """The command in this process, for what is refused or finished before anything is trained."""
    return CliRunner().invoke(main, [str(a) for a in arguments], prog_name="rd-sweep")


SERVER = """
import json, sys
from click.testing import CliRunner
from ratedistortion.cli.sweep import main
for line in sys.stdin:
    result = CliRunner().invoke(main, json.loads(line), prog_name="rd-sweep")
    print(json.dumps([result.exit_code, result.stdout, result.stderr]), flush=True)
"""


@pytest.fixture(scope="module")
def bare():
    """The command in one process without the tests' type checks, which are stricter than it."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def invoke(*arguments):
        assert server.stdin is not None and server.stdout is not None
        print(json.dumps([str(a) for a in arguments]), file=server.stdin, flush=True)
        code, stdout, stderr = json.loads(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, stdout, stderr)

    yield invoke
    server.communicate()


def run(*command):
    """A command in a process of its own."""
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def signalled(name, event, count, *arguments):
    return run(sys.executable, SIGNALLED, name, event, count, *arguments)


def check_error(result, code, *words):
    """One line on stderr, nothing on stdout, no traceback."""
    assert result.stderr.startswith("Error: "), result.stderr
    assert result.stderr.endswith("\n") and result.stderr.count("\n") == 1, result.stderr
    assert [word for word in words if word not in result.stderr] == [], result.stderr
    assert result.stdout == ""
    assert getattr(result, "exit_code", getattr(result, "returncode", None)) == code


def tree(folder):
    """Everything in a folder: path, time of change and content."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.fixture(autouse=True)
def promotion():
    """Adam, in Optax, raises a Python number to the power of an integer array."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A whole sweep in a process of its own; tests only read it."""
    path = tmp_path_factory.mktemp("runs") / "undisturbed"
    return path, run(COMMAND, path, *SWEEP, "--json")


@pytest.fixture
def finished(undisturbed, tmp_path):
    """A copy that a test may change."""
    return Path(shutil.copytree(undisturbed[0], tmp_path / "finished"))


# What a sweep prints and stores.


def test_json_is_one_object_with_its_keys_in_order(undisturbed):
    path, result = undisturbed
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    summary = json.loads(line)
    assert list(summary) == SUMMARY
    assert summary["run_dir"] == str(path) and summary["table"] == str(path / "rd.parquet")
    assert (summary["runs"], summary["ok"], summary["diverged"]) == (4, 4, 0)
    assert summary["batching"] in ("map", "vmap") and summary["device"]
    parts = [summary[f"{name}_seconds"] for name in ("compile", "train", "measure")]
    assert min(parts) > 0 and sum(parts) < summary["seconds"]
    expected = pytest.approx(4 * 3000 / summary["train_seconds"])
    assert summary["model_steps_per_second"] == expected


def test_progress_is_plain_lines_on_stderr_only(undisturbed):
    stderr = undisturbed[1].stderr
    assert "4 runs of 3000 steps, beta 0.05 to 8, in 2 chunks, " in stderr
    assert "chunk 2 of 2 done" in stderr
    assert "\x1b" not in stderr and "\r" not in stderr
    assert "Warning" not in stderr and "Traceback" not in stderr


def test_the_table_has_its_columns_in_order(undisturbed):
    file = pyarrow.parquet.ParquetFile(undisturbed[0] / "rd.parquet")
    assert file.schema_arrow.names[: len(COLUMNS)] == COLUMNS
    rows = file.read().to_pylist()
    identity = [(row["beta"], row["seed"], row["split"]) for row in rows]
    assert identity == [(beta, 0, split) for beta in BETAS for split in ("train", "test")]
    metadata = json.loads(file.schema_arrow.metadata[b"ratedistortion"])
    kept = {
        "settings",
        "versions",
        "device",
        "data_sha256",
        "plan",
        "convention",
        "loss",
        "schema_version",
    }
    assert kept <= set(metadata)
    assert metadata["convention"] == "loss = D + beta*R" and metadata["loss"] == "D + beta*R"
    for row in rows:
        assert row["status"] == "ok" and row["diverged_at_step"] is None
        assert row["saturated"] in (True, False) and isinstance(row["active_units"], int)
        assert (row["latents"], row["dimensions"], row["steps"]) == (2, 64, 3000)
        assert not [name for name, x in row.items() if isinstance(x, float) and math.isnan(x)]


def test_every_row_holds_to_the_bounds(undisturbed):
    """An estimate may miss a bound by 4 of its standard errors."""
    frame = ratedistortion.read(undisturbed[0])
    information = frame["mutual_information"]
    assert ((information >= 0) & (information <= frame["log_examples"])).all()
    assert (frame["identity_residual"].abs() <= 4 * frame["identity_residual_se"]).all()
    slack = 4 * frame["mutual_information_se"]
    lower = frame["mutual_information_lower"] - 4 * frame["mutual_information_lower_se"]
    upper = frame["mutual_information_upper"] + 4 * frame["mutual_information_upper_se"]
    assert (lower <= information + slack).all() and (information <= upper + slack).all()
    assert (information <= frame["rate"] + slack).all()
    assert (
        frame["marginal_kl_gaussian"] <= frame["marginal_kl"] + 4 * frame["marginal_kl_se"]
    ).all()
    total = frame["rate"] + frame["distortion"]
    np.testing.assert_allclose(frame["negative_elbo"], total, rtol=1e-12)
    # The curve is one: from autoencoder to autodecoder R falls.
    assert (frame.query("split == 'train'")["rate"].diff().dropna() < 0).all()
    assert information.iloc[0] > 1 > information.iloc[-1]


def test_posteriors_give_the_rate_and_the_information_of_their_rows(undisturbed):
    """R in closed form and I(n;z) from all N x N log densities, in NumPy and float64."""
    path = undisturbed[0]
    frame, names = ratedistortion.read(path), ("mean", "scale", "code", "data")
    data = {}
    for row in frame.to_dict("records"):
        name = f"beta={row['beta']},seed=0,split={row['split']}.npz"
        with np.load(path / "posteriors" / name, allow_pickle=False) as arrays:
            assert set(arrays) == {"noise", "rate", "distortion", "chosen", *names}
            stored = dict(arrays)
        assert {stored[k].dtype for k in (*names, "noise")} == {np.dtype(np.float32)}
        assert {stored[k].shape for k in ("mean", "scale", "code")} == {(row["examples"], 2)}
        assert stored["data"].shape == (row["examples"], 64)
        assert set(np.unique(stored["data"])) == {0.0, 1.0}
        first = data.setdefault(row["split"], stored["data"])
        np.testing.assert_array_equal(stored["data"], first)
        mean, scale, code = (stored[k].astype(np.float64) for k in ("mean", "scale", "code"))
        rates = 0.5 * np.sum(mean**2 + scale**2 - 1, axis=1) - np.sum(np.log(scale), axis=1)
        np.testing.assert_allclose(rates.mean(), row["rate"], rtol=1e-5)
        standard = (code[:, None] - mean) / scale
        log_q = -np.sum(0.5 * standard**2 + np.log(scale), axis=2)  # codes, posteriors
        peak = log_q.max(axis=1, keepdims=True)
        q = np.exp(log_q - peak)
        q /= q.sum(axis=1, keepdims=True)
        entropy = -np.sum(q * np.log(np.where(q > 0, q, 1)), axis=1)
        terms = math.log(len(code)) - entropy
        assert len(code) == row["codes"]
        np.testing.assert_allclose(terms.mean(), row["mutual_information"], atol=1e-4)
        # A code is a draw from its own posterior: its squares are 1 within 5 standard errors.
        own = ((code - mean) / scale).ravel()
        assert abs(np.mean(own**2) - 1) < 5 * math.sqrt(2 / len(own))


def test_posteriors_are_in_data_set_order(undisturbed):
    settings = ratedistortion.Settings(max_examples=200)
    from ratedistortion import datasets

    expected = datasets.load(settings)
    for split, images in expected.splits.items():
        name = f"beta=2.0,seed=0,split={split}.npz"
        with np.load(undisturbed[0] / "posteriors" / name) as arrays:
            np.testing.assert_array_equal(arrays["data"], images * np.float32(expected.scale))


def test_a_grid_of_one_equals_a_grid_of_many(undisturbed, tmp_path):
    """Not bit for bit, since the width of a chunk changes the order of additions."""
    arguments = list(SWEEP)
    arguments[arguments.index("--betas") + 1] = "0.5"
    result = invoke(tmp_path / "one", *arguments, "--quiet", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["runs"] == 1
    one = ratedistortion.read(tmp_path / "one")
    many = ratedistortion.read(undisturbed[0]).query("beta == 0.5")
    numbers = list(NATS_COLUMNS)
    np.testing.assert_allclose(one[numbers], many[numbers], rtol=1e-3, atol=1e-3)


# Stops and kills.


def test_kill_9_anywhere_then_the_same_command_gives_the_same_bytes(undisturbed, tmp_path):
    path = tmp_path / "run"
    first, second = (path / "chunks" / name for name in ("0000", "0001"))

    killed = signalled("SIGKILL", "Trained", 8, path, *SWEEP)  # while the first chunk trains
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (first / "state.npz").exists() and not (first / "DONE").exists()

    killed = signalled("SIGKILL", "ChunkDone", 1, path, *SWEEP)  # between the chunks
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (first / "DONE").exists() and not second.exists()

    killed = signalled("SIGKILL", "Measured", 2, path, *SWEEP)  # while the second is measured
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (second / "state.npz").exists() and not (second / "DONE").exists()
    assert not (path / "rd.parquet").exists()

    result = run(COMMAND, path, *SWEEP, "--json")
    assert result.returncode == 0, result.stderr
    for name in ("rd.parquet", "images.npz"):
        assert (path / name).read_bytes() == (undisturbed[0] / name).read_bytes()
    assert result.stdout and not list(path.rglob("*.tmp"))


def test_signals_stop_with_a_checkpoint_and_the_same_command_finishes(undisturbed, tmp_path):
    path = tmp_path / "run"
    state = path / "chunks" / "0000" / "state.npz"

    stopped = signalled("SIGINT", "Trained", 8, path, *SWEEP, "--quiet")
    check_error(stopped, 130, "stopped by SIGINT with a checkpoint", f"`rd-sweep {path}`")
    with np.load(state) as arrays:
        assert 0 < arrays["steps"] < 3000

    stopped = signalled("SIGTERM", "Trained", 1, path, "--quiet")  # RUN_DIR alone continues
    check_error(stopped, 75, "stopped by SIGTERM with a checkpoint", f"`rd-sweep {path}`")

    result = run(COMMAND, path, *SWEEP, "--quiet", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert (path / "rd.parquet").read_bytes() == (undisturbed[0] / "rd.parquet").read_bytes()


def test_a_table_that_was_lost_is_made_again_from_the_chunks(finished, undisturbed):
    before = (finished / "rd.parquet").read_bytes()
    (finished / "rd.parquet").unlink()
    (finished / "images.npz").unlink()
    result = invoke(finished, "--json")
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


# A directory that is finished, or another's.


def test_the_same_command_on_a_finished_directory_computes_nothing(undisturbed):
    path, first = undisturbed
    before = tree(path)
    code = (
        "import sys; from ratedistortion.cli.sweep import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print('jax' in sys.modules, end.code, file=sys.stderr)"
    )
    for arguments in ((*SWEEP, "--json"), ("--json",)):
        result = run(sys.executable, "-c", code, path, *arguments)
        assert result.stderr == "False 0\n"
        summary = json.loads(result.stdout)
        assert list(summary) == SUMMARY
        computed = {name for name in SUMMARY if "second" in name}
        assert {summary[name] for name in computed} == {0}
        kept = [name for name in SUMMARY if name not in computed]
        assert [summary[n] for n in kept] == [json.loads(first.stdout)[n] for n in kept]
    assert tree(path) == before


def test_the_table_is_printed_in_the_units_asked_for(undisturbed):
    path = undisturbed[0]
    rate = ratedistortion.read(path).query("split == 'test'")["rate"].iloc[0]
    for units, text in (("nats", f"{rate:.2f} ±"), ("bits", f"{rate / math.log(2):.2f} ±")):
        result = invoke(path, "--units", units)
        lines = result.stdout.splitlines()
        assert lines[0] == f"test split, {units} per image"
        assert lines[1].split() == ["beta", "seed", "R", "D", "-ELBO", "I(n;z)", "KL(q|p)"]
        assert lines[2].split()[:2] == ["0.05", "0"] and text in lines[2]
        assert len(lines) == 2 + len(BETAS) + 2
        assert lines[-2].startswith("saturated: I(n;z) is near its ceiling log N = ")
        assert lines[-1] == f"table: {path / 'rd.parquet'}"
        assert result.stderr == ""


def test_another_configuration_is_refused_with_what_differs(undisturbed):
    path = undisturbed[0]
    before = tree(path)
    result = invoke(path, *SMALL, "--steps", "31", "--betas", "1", "--save-posteriors")
    check_error(
        result,
        4,
        f"{path} belongs to another configuration: betas: [0.05, 0.5, 2.0, 8.0] stored, [1.0]"
        " asked for; steps: 3000 stored, 31 asked for. Use another directory, or the stored"
        " values.",
    )
    assert tree(path) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no way to take cores away")
def test_a_sweep_of_two_cores_goes_on_with_one(undisturbed, finished):
    (finished / "rd.parquet").unlink()
    shutil.rmtree(finished / "chunks/0001")
    program = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from ratedistortion.cli.sweep import main
main()
"""
    result = run(sys.executable, "-c", program, finished, "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    stored, again = (ratedistortion.read(path) for path in (undisturbed[0], finished))
    pandas.testing.assert_frame_equal(stored, again, rtol=1e-3)


def test_how_it_is_computed_is_no_other_configuration(undisturbed):
    result = invoke(undisturbed[0], *SWEEP, "--device", "gpu", "--runs-at-once", "1")
    assert result.exit_code == 0
    # Alone such options are laid over the directory's own settings.
    assert invoke(undisturbed[0], "--device", "gpu").exit_code == 0


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_log_that_takes_nothing_ends_no_sweep(tmp_path, redirection):
    command = (str(COMMAND), str(tmp_path / "run"), *SMALL, "--steps", "20", "--betas", "1,2")
    line = f"{shlex.join(command)} --json {redirection}"
    done = subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["runs"] == 2
    assert len(ratedistortion.read(tmp_path / "run")) == 4


def test_damage_is_one_line_and_exit_4(finished, bare):
    manifest = finished / "manifest.json"
    values = json.loads(manifest.read_text())
    (finished / "rd.parquet").unlink()
    changes = (
        {"settings": values["settings"] | {"latents": 3}},
        {"settings": values["settings"] | {"layers": 3}},
        {"settings": values["settings"] | {"encoder": "cnn"}},
        {"settings": values["settings"] | {"betas": [-1]}},
        {"plan": {}},
        {"plan": values["plan"] | {"width": 0}},
        {"plan": values["plan"] | {"chunks": 1}},
        {"plan": values["plan"] | {"width": 10**12, "chunks": 1}},
        {"plan": values["plan"] | {"batching": "auto"}},
        {"plan": values["plan"] | {"devices": "2"}},
        {"plan": values["plan"] | {"devices": 8, "width": 8, "chunks": 1}},
    )
    for change in changes:
        manifest.write_text(json.dumps(values | change))
        check_error(bare(finished), 4, "manifest.json", "damaged")
    manifest.write_text(json.dumps(values | {"data_sha256": "0" * 64}))
    check_error(invoke(finished), 4, "digits has changed since this sweep began")
    manifest.write_text(json.dumps(values))
    # A chunk of this sweep in the place of another, and a checkpoint of another model.
    first, second = (finished / "chunks" / name for name in ("0000", "0001"))
    first.rename(finished / "kept")
    shutil.copytree(second, first)
    check_error(invoke(finished, "--quiet"), 4, "chunks/0000", "damaged", "delete")
    shutil.rmtree(first)
    (finished / "kept").rename(first)
    (second / "DONE").unlink()
    with np.load(second / "state.npz") as arrays:
        leaves = dict(arrays)
    for change in ({"steps": 3001}, {"steps": -1}, {"leaf0": np.zeros(3)}):
        np.savez(second / "state.npz", **(leaves | change))
        check_error(invoke(finished, "--quiet"), 4, "0001/state.npz", "does not fit", "delete")
    # And a table of another sweep.
    (finished / "rd.parquet").write_bytes(parquet.write([], {"settings": {}}))
    check_error(invoke(finished), 4, "rd.parquet", "not the table of this run directory")
    (finished / "rd.parquet").write_bytes(b"PAR1")
    check_error(invoke(finished), 4, "rd.parquet", "damaged")


def test_only_a_finished_sweep_of_an_older_version_is_of_use(finished):
    """Schema 1 had no `data_files`, and other numbers."""
    manifest = finished / "manifest.json"
    values = json.loads(manifest.read_text())
    older = {name: value for name, value in values.items() if name != "data_files"}
    manifest.write_text(json.dumps(older | {"schema": 1}))
    shown = invoke(finished, *SWEEP)
    assert (shown.exit_code, shown.stderr) == (0, "") and "test split" in shown.stdout
    assert invoke(finished, "--dry-run").exit_code == 0
    (finished / "rd.parquet").unlink()
    before = tree(finished)
    for arguments in ((), SWEEP, ("--dry-run",)):
        result = invoke(finished, *arguments)
        check_error(result, 4, f"{finished} was begun by an older version", "another directory")
    assert tree(finished) == before


def test_a_warning_when_the_library_or_the_device_is_another(finished):
    values = json.loads((finished / "manifest.json").read_text())
    values |= {"device": "Abacus", "versions": values["versions"] | {"jax": "0.0.1"}}
    (finished / "manifest.json").write_text(json.dumps(values))
    (finished / "rd.parquet").unlink()
    result = invoke(finished, "--quiet")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: begun with Abacus, jax 0.0.1, continued with ")
    assert result.stderr.count("\n") == 1


# Runs that diverge.


def test_diverged_runs_are_marked_and_exit_3(tmp_path):
    path = tmp_path / "run"
    arguments = list(SWEEP)  # a shape that is compiled already
    arguments[arguments.index("--betas") + 1] = "1,0.1"
    arguments[arguments.index("--learning-rate") + 1] = "1e30"
    result = invoke(path, *arguments, "--json")
    assert result.exit_code == 3
    assert result.stderr.endswith("2 of 2 runs diverged.\n")
    assert "diverged: beta 0.1, seed 0, step 1: D is not finite\n" in result.stderr
    summary = json.loads(result.stdout)
    assert (summary["runs"], summary["ok"], summary["diverged"]) == (2, 0, 2)
    rows = pyarrow.parquet.read_table(path / "rd.parquet").to_pylist()
    assert [row["beta"] for row in rows] == [1.0, 1.0, 0.1, 0.1]  # in the order of the grid
    for row in rows:
        assert (row["status"], row["diverged_at_step"]) == ("diverged", 1)
        assert not [name for name, x in row.items() if isinstance(x, float) and math.isnan(x)]
        missing = [name for name in COLUMNS if row[name] is None]
        assert {"rate", "mutual_information", "saturated", "active_units"} <= set(missing)
        assert row["failed_checks"] == "D is not finite"
    # Finished all the same: nothing is computed again, and the exit code stays.
    again = invoke(path)
    assert again.exit_code == 3 and again.stderr == "2 of 2 runs diverged.\n"
    note = "diverged at step 1: D is not finite"
    assert again.stdout.splitlines()[2].split() == ["1", "0", *"-----", *note.split()]
    # The curve ends where the run did.
    losses = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    curve = next(event for event in losses if event["event"] == "loss")
    assert curve["steps"] == list(range(15, 3001, 15))
    for name in ("distortion", "rate"):
        assert curve[name][0] > 0 and set(curve[name][1:]) == {None}


# Options.


def test_every_option_has_help_and_a_group():
    result = invoke("--help")
    assert result.exit_code == 0
    groups = ("Data", "Grid", "Model", "Training", "Measuring", "Engine", "Other")
    places = [result.stdout.index(f"\n{group}:\n") for group in groups]
    assert places == sorted(places)
    for parameter in main.params:
        if isinstance(parameter, click.Option):
            text = parameter.help or ""
            assert text and not text.startswith("["), parameter.name
            assert parameter.opts[-1] in result.stdout
    assert invoke("-h").stdout == result.stdout
    assert invoke("--version").stdout == f"rd-sweep, version {ratedistortion.__version__}\n"


def test_a_dry_run_prints_the_plan_and_creates_nothing(tmp_path):
    arguments = (tmp_path / "a" / "run", *SMALL, "--steps", "30", "--dry-run")
    plan = json.loads(invoke(*arguments, "--json").stdout)
    assert (plan["runs"], plan["steps"], plan["table"]) == (
        12,
        30,
        str(arguments[0] / "rd.parquet"),
    )
    assert plan["chunks"] * plan["runs_at_once"] >= 12
    # An 8-unit mlp on both sides of 2 latents: 64-8-4 and 2-8-64, with biases.
    assert plan["parameters"] == 64 * 8 + 8 + 8 * 4 + 4 + 2 * 8 + 8 + 8 * 64 + 64
    assert plan["memory_mib"] >= 0 and "seconds" not in plan
    text = invoke(*arguments)
    assert [line.split()[0] for line in text.stdout.splitlines()] == list(plan)
    assert text.exit_code == 0 and text.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_refuses_what_a_sweep_would(tmp_path, undisturbed, monkeypatch):
    (tmp_path / "thesis.tex").touch()
    check_error(invoke(tmp_path, "--dry-run"), 4, "not a run directory", "thesis.tex")
    check_error(invoke(undisturbed[0], "--betas", "1", "--dry-run"), 4, "another configuration")
    monkeypatch.setattr(
        "ratedistortion.sweeping.preparation.find_devices", lambda *_: jax.devices()[:1]
    )
    words = "begun on 2 devices and 1 are at hand"
    check_error(invoke(undisturbed[0], *SWEEP, "--dry-run"), 4, words)


def test_options_override_the_configuration_file(tmp_path):
    config = tmp_path / "sweep.toml"
    config.write_text(
        'betas = [0.5, 2]\nseeds = 3\nmax-examples = 200\nhidden = "8,8"\nepochs = 4\n'
        "batch_size = 50\n"
    )
    run_dir = tmp_path / "run"

    def plan(*arguments):
        result = invoke(run_dir, "--config", config, "--dry-run", "--json", *arguments)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    assert (plan()["runs"], plan()["steps"]) == (6, 16)
    changed = plan("--seeds", "1", "--steps", "7", "--betas", "1,2,3")
    assert (changed["runs"], changed["steps"]) == (3, 7)
    config.write_text("target-rates = [5, 10]\nsteps = 4\n")
    assert plan("--betas", "1,2,3")["runs"] == 3
    assert plan()["runs"] == 2
    config.write_text("target-rates = [5, 10]\nbetas = [1]\n")
    check_error(invoke(run_dir, "--config", config), 2, "betas and target_rates exclude each other")


@pytest.mark.parametrize(
    "text, words",
    [
        ("seed = 3", ["sweep.toml: no setting is called 'seed'; did you mean seeds?"]),
        ("max-exampels = 3", ["did you mean max_examples?"]),
        ("quiet = true", ["no setting is called 'quiet'"]),
        ("betas = [1, -1]", ["got -1 (item 2 of 2)"]),
        ("betas = 'a'", ["betas", "'a'"]),
        ("betas = ['a']", ["betas must be numbers"]),
        ("betas = 3", ["betas must be numbers"]),
        ("hidden = 3", ["hidden must be a list of whole numbers"]),
        ("hidden = [3.5]", ["hidden must be a whole number"]),
        ("seeds = '3'", ["seeds must be a whole number"]),
        ("steps = true", ["steps must be a whole number"]),
        ("download = 'no'", ["download must be true or false"]),
        ("dataset = 3", ["dataset must be text"]),
        ("encoder = 'cnn'", ["encoder must be one of linear, mlp", "'cnn'"]),
        ("learning_rate = 1e39", ["learning_rate must be finite"]),
        ("likelihood_scale = 0", ["likelihood_scale must be finite and above 0"]),
        ("precision = 'double'", ["precision must be one of"]),
        ("[model]\nlatents = 3", ["no setting is called 'model'"]),
        ("latents = ", ["config: cannot read"]),
    ],
)
def test_a_bad_configuration_file(tmp_path, bare, text, words):
    (tmp_path / "sweep.toml").write_text(text)
    check_error(bare(tmp_path / "run", "--config", tmp_path / "sweep.toml"), 2, *words)
    assert not (tmp_path / "run").exists()


def test_a_configuration_file_that_is_not_there(tmp_path):
    check_error(invoke(tmp_path / "run", "--config", tmp_path / "none.toml"), 2, "none.toml")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--betas", "1,-0.1,2"], ["at least 0: got -0.1 (item 2 of 3)."]),
        (["--betas", "nan"], ["finite", "got nan (item 1 of 1)"]),
        (["--betas", "1,inf"], ["finite", "got inf (item 2 of 2)"]),
        (["--betas", "1e39"], ["finite", "got 1e+39"]),
        (["--betas", "1,0.1,1.0"], ["got 1 twice (item 3 of 3)"]),
        (["--betas", ""], ["at least one value"]),
        (["--betas", "1", "--target-rates", "2"], ["exclude each other"]),
        (["--target-rates", "1,-2"], ["target_rates must be finite and at least 0: got -2"]),
        (["--free-bits", "-1"], ["free_bits must be finite and at least 0: got -1"]),
        (["--select", "worst"], ["'worst'", "last", "best"]),
        (["--betas", "1,,2"], ["cannot read '' (item 2 of 3)"]),
        (["--betas", "1,x"], ["cannot read 'x' (item 2 of 2)"]),
        (["--betas", "1:0:log3"], ["LOW < HIGH", "'1:0:log3'"]),
        (["--betas", "0:1:log3"], ["must start above 0"]),
        (["--betas", "0:1:lin1000000000"], ["at most 100,000 points"]),
        (["--betas", "@/none"], ["cannot read the file /none"]),
        (["--seeds", "100000000"], ["seeds must be at most"]),
        (["--seeds", "1000000"], ["at most 100,000 runs"]),
        (["--seeds", "0"], ["seeds", "at least 1: got 0"]),
        (["--seeds", "two"], ["--seeds", "'two'"]),
        (["--steps", "3", "--epochs", "1"], ["epochs and steps exclude each other"]),
        (["--steps", "-3"], ["steps", "got -3"]),
        (["--steps", "99999999999"], ["steps must be at most"]),
        (["--runs-at-once", "0"], ["runs_at_once", "at least 1: got 0"]),
        (["--runs-at-once", "x"], ["runs_at_once must be auto or a whole number: got 'x'"]),
        (["--hidden", "8,x"], ["hidden must be whole numbers", "'8,x'"]),
        (["--hidden", "0"], ["hidden", "at least 1"]),
        (["--encoder", "cnn"], ["--encoder", "'cnn' is not one of 'linear', 'mlp'"]),
        (["--batching", "scan"], ["--batching", "'scan' is not one of"]),
        (["--units", "bytes"], ["--units", "'bytes' is not one of"]),
        (["--learning-rate", "nan"], ["learning_rate must be finite and above 0"]),
        (["--learning-rate", "-1"], ["learning_rate must be finite and above 0"]),
        (["--likelihood-scale", "0"], ["likelihood_scale must be finite and above 0"]),
        (["--beta", "1"], ["No such option", "--betas"]),
        (["extra"], ["extra"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(tmp_path, arguments, words):
    check_error(invoke(tmp_path / "run", *arguments), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_that_fits_nowhere(tmp_path):
    result = invoke(tmp_path / "run", "--max-examples", "200", "--latents", "10000000")
    check_error(result, 6, "one run needs about", "MiB", "lower hidden")
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there(tmp_path):
    result = invoke(tmp_path / "run", "--device", "gpu")
    check_error(result, 2, "device: JAX sees no gpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/run", "/proc/run", "thesis"])
def test_a_run_dir_that_cannot_be(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    before = tree(tmp_path)
    code = 4 if name == "thesis" else 2
    check_error(invoke(tmp_path / name, *SMALL), code, name)
    assert tree(tmp_path) == before


GREY = np.linspace(0, 1, 300 * 16, dtype=np.float32).reshape(300, 4, 4)


@pytest.mark.parametrize(
    "data, arguments, words",
    [
        ("mnits", [], ["no data set is called 'mnits'", "did you mean mnist"]),
        ("mnist", ["--data-dir", "{tmp}"], ["not prepared", "pip install", "download_and_prepare"]),
        ("{tmp}/none.npz", [], ["none.npz is not there"]),
        (
            "digits",
            ["--binarize", "none"],
            ["the bernoulli likelihood needs values that are 0 or 1", "--binarize"],
        ),
        ("digits", ["--binarize", "static", "--max-examples", "20"], ["at least 100", "got 20"]),
        (GREY, [], ["bernoulli", "--binarize"]),
        (GREY * 2, ["--likelihood", "gaussian"], ["must lie in [0, 1]", "to 2"]),
        (np.where(GREY > 0.5, np.nan, GREY), ["--binarize", "static"], ["nan", "first at index"]),
        (GREY.astype(object), [], ["Python objects", "never unpickled"]),
        (GREY.astype(str), [], ["dtype"]),
        (GREY[:1], ["--binarize", "static"], ["at least 2 examples"]),
        (b"no zip", [], ["damaged"]),
    ],
)
def test_bad_data_is_one_line_and_exit_7(tmp_path, data, arguments, words):
    name = data if isinstance(data, str) else "{tmp}/data.npz"
    if isinstance(data, bytes):
        (tmp_path / "data.npz").write_bytes(data)
    elif not isinstance(data, str):
        np.savez(tmp_path / "data.npz", images=data)
    before = tree(tmp_path)
    filled = [text.format(tmp=tmp_path) for text in ("--dataset", name, *arguments)]
    check_error(invoke(tmp_path / "run", *filled), 7, *words)
    assert tree(tmp_path) == before
    check_error(invoke(tmp_path / "run", *filled, "--dry-run"), 7, *words)


# The pieces.


class Terminal:
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


EVENTS = (
    events.Compiling("training"),
    events.Planned(4, 10, "beta", 0.1, 4.0, "map", devices=1, width=2, chunks=2),
    events.Trained(chunk=0, runs=2, steps=1, seconds=0.5),
    events.Trained(chunk=0, runs=2, steps=10, seconds=1.0),
    events.Measured(chunk=0, rows=1, of=4),
    events.Diverged(0.1, 0, None, step=3, term="R", data="they reach 9"),
    events.ChunkDone(chunk=0, train_seconds=1.0, measure_seconds=0.1),
    events.Warned("the last digits can differ."),
)


@pytest.mark.parametrize("no_colour, quiet", [("", False), ("1", False), ("", True)])
def test_only_a_terminal_sees_a_bar(monkeypatch, no_colour, quiet):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("TERM", "xterm")
    with progress.Progress(quiet) as shown:
        for event in EVENTS:
            shown.report(event)
    animated = not no_colour and not quiet
    assert ("\x1b" in stream.text) == animated
    assert ("4 runs of 10 steps" in stream.text) == (not quiet)
    assert ("diverged: beta 0.1, seed 0, step 3" in stream.text) == (not quiet)
    assert "Warning: the last digits can differ." in stream.text
    if animated:
        assert "measuring: 1 of 4 rows" in stream.text


def test_off_a_terminal_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1.0)
    with progress.Progress(quiet=False) as shown:
        for event in EVENTS:
            shown.report(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "compiling training",
        "4 runs of 10 steps, beta 0.1 to 4, in 2 chunks, map on 1 device",
        "training: chunk 1 of 2, step 1 of 10, 0 model-steps/s",
        "training: chunk 1 of 2, step 10 of 10, 18 model-steps/s, 1 s left",
        "measuring: 1 of 4 rows",
        "diverged: beta 0.1, seed 0, step 3: R is not finite; they reach 9",
        "chunk 1 of 2 done: training 1 s, measuring 0 s",
        "Warning: the last digits can differ.",
    ]


def test_saturated_rows_are_marked(undisturbed):
    frame = ratedistortion.read(undisturbed[0])
    frame["saturated"] = [True, True, *[False] * 6]
    lines = results.results(frame, "nats").splitlines()
    assert [line.endswith("saturated") for line in lines[2:]] == [True, False, False, False]


def test_target_rates_are_shown_beside_what_was_reached(undisturbed):
    """Missed: by more than .05 nats, a tenth and three errors; in the units that are printed."""
    frame = ratedistortion.read(undisturbed[0])[lambda f: f["split"] == "test"]
    frame = frame.assign(rate=[0.04, 2.2, 9.0, 0.5], rate_se=[0.0, 0.1, 0.1, 0.0], saturated=False)
    assert "target" not in results.results(frame, "nats")
    frame["target_rate"] = [0.0, 2.0, 10.5, 0.0]
    header, *lines = results.results(frame, "bits").splitlines()[1:]
    assert header.split()[:2] == ["target", "beta"]
    assert [line.split()[0] for line in lines] == ["0.00", "2.89", "15.15", "0.00"]
    assert [line.endswith("target missed") for line in lines] == [False, False, True, True]
    frame["saturated"] = True
    assert results.results(frame, "nats").splitlines()[-1].endswith("  target missed, saturated")
