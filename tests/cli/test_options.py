"""Options and data that rd-sweep refuses, its help and its dry run."""

import json

import click
import jax
import numpy as np
import pytest
from commands import SMALL, STEPS, SWEEP, check_error, rd_sweep, tree

import ratedistortion
from ratedistortion import api
from ratedistortion.cli.sweep import main
from ratedistortion.settings import Settings


def test_every_option_has_help_and_a_group():
    result = rd_sweep("--help")
    assert result.exit_code == 0
    groups = ("Data", "Grid", "Model", "Training", "Measuring", "Engine", "Other")
    places = [result.stdout.index(f"\n{group}:\n") for group in groups]
    assert places == sorted(places)
    for parameter in main.params:
        if isinstance(parameter, click.Option):
            text = parameter.help or ""
            assert text and not text.startswith("["), parameter.name
            assert parameter.opts[-1] in result.stdout
    assert rd_sweep("-h").stdout == result.stdout
    assert rd_sweep("--version").stdout == f"rd-sweep, version {ratedistortion.__version__}\n"


def test_a_dry_run_prints_the_plan_and_creates_nothing(tmp_path):
    arguments = (tmp_path / "a" / "run", *SWEEP, "--dry-run")
    plan = json.loads(rd_sweep(*arguments, "--json").stdout)
    table = str(arguments[0] / "rd.parquet")
    assert (plan["runs"], plan["steps"], plan["table"]) == (4, STEPS, table)
    assert (plan["chunks"], plan["runs_at_once"]) == (2, 2)
    # An 8-unit mlp on both sides of 2 latents: 64-8-4 and 2-8-64, with biases.
    networks = (64 * 8 + 8 + 8 * 4 + 4) + (2 * 8 + 8 + 8 * 64 + 64)
    linear_maps = (64 + 64 * 2 + 2) + (2 + 2 * 64 + 64)
    assert plan["parameters"] == networks + linear_maps
    assert plan["memory_mib"] >= 0 and "seconds" not in plan
    text = rd_sweep(*arguments)
    assert [line.split()[0] for line in text.stdout.splitlines()] == list(plan)
    assert text.exit_code == 0 and text.stderr == plan["data"] + "\n"
    assert plan["data"].startswith("digits: 200 + 200 images of 8 × 8 × 1, whole numbers 0 to 16")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_refuses_what_a_sweep_would(tmp_path, undisturbed, monkeypatch):
    (tmp_path / "thesis.tex").touch()
    check_error(rd_sweep(tmp_path, "--dry-run"), 4, "not a run directory", "thesis.tex")
    check_error(rd_sweep(undisturbed[0], "--betas", "1", "--dry-run"), 4, "another configuration")
    monkeypatch.setattr(
        "ratedistortion.sweeping.preparation.find_devices", lambda *_: jax.devices()[:1]
    )
    words = "begun on 2 devices and 1 are at hand"
    check_error(rd_sweep(undisturbed[0], *SWEEP, "--dry-run"), 4, words)


def test_options_override_the_configuration_file(tmp_path, monkeypatch):
    config, asked = tmp_path / "sweep.toml", []
    monkeypatch.setattr(api, "dry_run", lambda settings, *_: asked.append(settings) or {})

    def settings(text, *arguments):
        config.write_text(text)
        result = rd_sweep(tmp_path / "run", "--config", config, "--dry-run", *arguments)
        assert result.exit_code == 0, result.stderr
        return asked[-1]

    values = {"seeds": 3, "max_examples": 200, "hidden": (8, 8), "batch_size": 50}
    text = 'betas = [0.5, 2]\nseeds = 3\nmax-examples = 200\nhidden = "8,8"\nbatch_size = 50\n'
    assert settings(text + "epochs = 4") == Settings(betas=(0.5, 2.0), epochs=4, **values)
    changed = settings(text + "epochs = 4", "--seeds", "1", "--steps", "7", "--betas", "1,2,3")
    assert changed == Settings(betas=(1.0, 2.0, 3.0), steps=7, **(values | {"seeds": 1}))
    targets = "target-rates = [5, 10]\nsteps = 4\n"
    assert settings(targets, "--betas", "1,2,3") == Settings(betas=(1.0, 2.0, 3.0), steps=4)
    assert settings(targets) == Settings(target_rates=(5.0, 10.0), steps=4)
    config.write_text(targets + "betas = [1]\n")
    result = rd_sweep(tmp_path / "run", "--config", config)
    check_error(result, 2, "betas and target_rates exclude each other")


# Every refusal of a value is in tests/settings; these are the ways in which values arrive.


@pytest.mark.parametrize(
    "text, words",
    [
        ("seed = 3", ["sweep.toml: no setting is called 'seed'; did you mean seeds?"]),
        ("quiet = true", ["no setting is called 'quiet'"]),
        ("betas = [1, -1]", ["got -1 (item 2 of 2)"]),
        ("betas = ['a']", ["betas must be numbers"]),
        ("steps = true", ["steps must be a whole number"]),
        ("encoder = 'cnn'", ["encoder must be one of linear, mlp", "'cnn'"]),
        ("[model]\nlatents = 3", ["no setting is called 'model'"]),
        ("latents = ", ["config: cannot read"]),
    ],
)
def test_a_bad_configuration_file(tmp_path, text, words):
    (tmp_path / "sweep.toml").write_text(text)
    check_error(rd_sweep(tmp_path / "run", "--config", tmp_path / "sweep.toml"), 2, *words)
    assert not (tmp_path / "run").exists()


def test_a_configuration_file_that_is_not_there(tmp_path):
    check_error(rd_sweep(tmp_path / "run", "--config", tmp_path / "none.toml"), 2, "none.toml")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--betas", "1,-0.1,2"], ["at least 0: got -0.1 (item 2 of 3)."]),
        (["--betas", ""], ["at least one value"]),
        (["--betas", "1", "--target-rates", "2"], ["exclude each other"]),
        (["--target-rates", "1,-2"], ["target_rates must be finite and at least 0: got -2"]),
        (["--free-bits", "-1"], ["free_bits must be finite and at least 0: got -1"]),
        (["--betas", "@/none"], ["cannot read the file /none"]),
        (["--seeds", "100000000"], ["seeds must be at most"]),
        (["--seeds", "two"], ["seeds must be a count or a range such as 5:10: got 'two'"]),
        (["--steps", "3", "--epochs", "1"], ["epochs and steps exclude each other"]),
        (["--steps", "-3"], ["steps", "got -3"]),
        (["--runs-at-once", "x"], ["runs_at_once must be auto or a whole number: got 'x'"]),
        (["--hidden", "8,x"], ["hidden must be whole numbers", "'8,x'"]),
        (["--encoder", "cnn"], ["--encoder", "'cnn' is not one of 'linear', 'mlp'"]),
        (["--batching", "scan"], ["--batching", "'scan' is not one of"]),
        (["--learning-rate", "-1"], ["learning_rate must be finite and above 0"]),
        (["--beta", "1"], ["No such option", "--betas"]),
        (["extra"], ["extra"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(tmp_path, arguments, words):
    check_error(rd_sweep(tmp_path / "run", *arguments), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_that_fits_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr("ratedistortion.engine.fitting.free_memory", lambda _: 2**18)
    result = rd_sweep(tmp_path / "run", *SWEEP)
    check_error(result, 6, "one run needs about", "MiB", "lower hidden")
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there(tmp_path):
    check_error(rd_sweep(tmp_path / "run", "--device", "gpu"), 2, "device: JAX sees no gpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/run", "/proc/run", "thesis"])
def test_a_run_dir_that_cannot_be(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    before = tree(tmp_path)
    code = 4 if name == "thesis" else 2
    check_error(rd_sweep(tmp_path / name, *SMALL), code, name)
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
        (GREY, ["--binarize", "none"], ["bernoulli", "--binarize"]),
        (GREY * 2, ["--likelihood", "gaussian"], ["numbers 0 to 2: give --scale 2"]),
        (np.where(GREY > 0.5, np.nan, GREY), ["--binarize", "static"], ["nan", "first in row 1"]),
        (GREY.astype(object), [], ["Python objects", "never unpickled"]),
        (GREY.astype(str), [], ["dtype"]),
        (GREY[:1], ["--binarize", "static"], ["1 examples cannot be split"]),
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
    check_error(rd_sweep(tmp_path / "run", *filled), 7, *words)
    assert tree(tmp_path) == before
    check_error(rd_sweep(tmp_path / "run", *filled, "--dry-run"), 7, *words)
