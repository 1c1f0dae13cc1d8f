"""Settings from Python, TOML and manifests: one meaning, one hash, one refusal."""

import dataclasses
import importlib
import json
import subprocess
import sys
from importlib.machinery import PathFinder
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import ratedistortion.settings
from ratedistortion.errors import SettingsError
from ratedistortion.settings import (
    LEVELLED,
    Settings,
    differences,
    from_mapping,
    in_todays_terms,
    read_config,
)
from ratedistortion.settings.settings import ENGINE_FIELDS, FIELDS

# Another value than the default for every field; epochs and steps exclude each other.
OTHER = {
    "dataset": "mnist",
    "data_dir": "elsewhere",
    "download": True,
    "binarize": "static",
    "arrays": {"train": "a", "test": "b"},
    "layout": "NCHW",
    "shape": (28, 28, 1),
    "scale": 16.0,
    "test_fraction": 0.5,
    "max_examples": 300,
    "first": True,
    "betas": (0.5, 2.0),
    "target_rates": (4.0, 8.0),
    "seeds": 3,
    "encoder": "linear",
    "decoder": "linear",
    "prior": "other",
    "likelihood": "gaussian",
    "likelihood_scale": 0.5,
    "latents": 4,
    "hidden": (64,),
    "channels": (8, 4),
    "strides": (1, 2),
    "components": 7,
    "levels": 16,
    "start": "random",
    "epochs": 7,
    "steps": 70,
    "batch_size": 50,
    "learning_rate": 1e-4,
    "warmup": 10,
    "free_bits": 0.1,
    "select": "best",
    "codes": 500,
    "iwae": 5,
    "save_posteriors": True,
    "device": "cpu",
    "batching": "map",
    "runs_at_once": 2,
    "keep_models": "none",
    "precision": "highest",
    "deterministic": True,
}


def untyped() -> ModuleType:
    """The settings as a user has them: in tests beartype refuses wrong types before they do."""
    room = "ratedistortion.settings"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratedistortion, "settings", ratedistortion.settings)  # restored at the end
        patch.setattr(sys, "meta_path", [PathFinder])
        for name in [name for name in sys.modules if name.startswith(room)]:
            patch.delitem(sys.modules, name)
        return importlib.import_module(room)


PLAIN = untyped()


def test_every_field_has_another_value_here():
    assert list(OTHER) == [field.name for field in dataclasses.fields(Settings)]


def test_every_default_passes_its_own_check():
    for name, field in FIELDS.items():
        assert field.check(name, field.default) == field.default


def test_a_first_try_is_the_digits_binarised_and_long_enough():
    settings = Settings()
    assert (settings.dataset, settings.binarize) == ("digits", "dynamic")
    assert (settings.epochs, settings.steps) == (100, None)
    assert len(settings.betas) == 12 and settings.betas[0] == 0.01 and settings.betas[-1] == 10
    assert Settings(binarize="threshold").binarize == "threshold"
    assert Settings(dataset="digits").epochs == 100 and Settings(dataset="mnist").epochs == 20


@pytest.mark.parametrize("dataset", [None, "digits"])
def test_digits_named_or_not_suit_the_likelihood(dataset):
    assert Settings(dataset=dataset).binarize == "dynamic"
    assert Settings(dataset=dataset, binarize="none").binarize == "none"
    for likelihood in ("gaussian", *LEVELLED):
        assert Settings(dataset=dataset, likelihood=likelihood).binarize == "none"


def test_other_data_decide_whether_they_are_binarised():
    asked = Settings(dataset="mnist")
    assert asked.binarize is None and Settings(dataset="mnist", likelihood="gaussian").binarize
    for stored, count in (("none", 0), ("dynamic", 0), ("static", 1), ("threshold", 1)):
        assert len(differences(Settings(dataset="mnist", binarize=stored), asked)) == count


def test_numbers_of_numpy_are_taken():
    plain = Settings(seeds=2, betas=(0.5, 1.0), hidden=(8, 4), likelihood_scale=0.5)
    mine = PLAIN.Settings(
        seeds=np.int64(2),
        betas=np.array([0.5, 1.0]),
        hidden=np.array([8, 4]),
        likelihood_scale=np.float32(0.5),
    )
    assert mine.as_json() == plain.as_json()


@pytest.mark.parametrize(
    ("name", "good", "value", "bad"),
    [
        ("shape", "8x6", (8, 6, 1), ("8", "8x6x1x1", "axb", "0x3")),
        ("scale", "16", 16.0, ("-1", "white", "nan")),
        ("scale", "none", "none", ("",)),
        ("arrays", "test=b,train=a", {"train": "a", "test": "b"}, ("a", "test=b", "train=", "x=a")),
    ],
)
def test_texts_for_data_are_read(name, good, value, bad):
    assert from_mapping({name: good}, "options") == Settings(**{name: value})
    for text in bad:
        with pytest.raises(SettingsError, match=f"{name} must be"):
            from_mapping({name: text}, "options")


def test_steps_stand_in_for_epochs():
    settings = Settings(steps=100)
    assert (settings.steps, settings.epochs) == (100, None)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"epochs": 1, "steps": 1}, "epochs and steps exclude each other: give one of them."),
        ({"betas": ()}, "betas must have at least one value: got none; "),
        ({"betas": (-1.0,)}, "betas must be finite and at least 0: got -1 (item 1 of 1)."),
        ({"seeds": 0}, "seeds must be a whole number of at least 1: got 0."),
        ({"seeds": 1.5}, "seeds must be a whole number of at least 1: got 1.5."),
        ({"latents": True}, "latents must be a whole number of at least 1: got True."),
        ({"batch_size": -1}, "batch_size must be a whole number of at least 1: got -1."),
        ({"codes": 1}, "codes must be a whole number of at least 2: got 1."),
        ({"learning_rate": 1e-46}, "learning_rate must be finite and above 0: got 1e-46, which is"),
        ({"codes": "10"}, "codes must be a whole number of at least 2: got '10'."),
        ({"epochs": 0}, "epochs must be a whole number of at least 1: got 0."),
        ({"steps": 0}, "steps must be a whole number of at least 1: got 0."),
        ({"max_examples": 0}, "max_examples must be a whole number of at least 1: got 0."),
        ({"runs_at_once": 0}, "runs_at_once must be a whole number of at least 1: got 0."),
        ({"warmup": -1}, "warmup must be a whole number of at least 0: got -1."),
        ({"iwae": -1}, "iwae must be a whole number of at least 0: got -1."),
        ({"hidden": (64, 0)}, "hidden must be a whole number of at least 1: got 0."),
        ({"hidden": 64}, "hidden must be a list of whole numbers: got 64."),
        ({"steps": 10**8}, "steps must be at most 10,000,000: got 100,000,000."),
        (
            {"betas": tuple(map(float, range(100))), "seeds": 1001},
            "betas and seeds: a sweep has at most 100,000 runs: got 100 times 1,001.",
        ),
        ({"target_rates": 4.0}, "target_rates must be numbers: 'float' object is not iterable; "),
        ({"learning_rate": 0.0}, "learning_rate must be finite and above 0: got 0.0."),
        ({"learning_rate": float("nan")}, "learning_rate must be finite and above 0: got nan."),
        ({"learning_rate": True}, "learning_rate must be finite and above 0: got True."),
        ({"learning_rate": "1"}, "learning_rate must be finite and above 0: got '1'."),
        ({"likelihood_scale": -1}, "likelihood_scale must be finite and above 0: got -1."),
        ({"likelihood_scale": 1e39}, "likelihood_scale must be finite and above 0: got 1e+39."),
        ({"dataset": 5}, "dataset must be a name, a path, an array of numbers"),
        ({"data_dir": 5}, "data_dir must be text: got 5."),
        ({"encoder": None}, "encoder must be text: got None."),
        ({"download": "no"}, "download must be true or false: got 'no'."),
        ({"save_posteriors": 1}, "save_posteriors must be true or false: got 1."),
        ({"deterministic": None}, "deterministic must be true or false: got None."),
        (
            {"binarize": "always"},
            "binarize must be one of none, threshold, static, dynamic: got 'always'.",
        ),
        ({"batching": "scan"}, "batching must be one of auto, vmap, map: got 'scan'."),
        ({"device": "tpu"}, "device must be one of auto, cpu, gpu: got 'tpu'."),
        ({"precision": "low"}, "precision must be one of default, high, highest: got 'low'."),
    ],
)
def test_every_refusal_names_the_field_and_the_value(values, message):
    with pytest.raises(SettingsError) as caught:
        PLAIN.Settings(**values)
    text = str(caught.value)
    assert text.startswith(message) and text.endswith(".") and "\n" not in text


def test_whole_numbers_stand_for_real_ones():
    settings = PLAIN.Settings(learning_rate=1, likelihood_scale=2, betas=(1,))
    assert settings == PLAIN.Settings(learning_rate=1.0, likelihood_scale=2.0, betas=(1.0,))
    assert repr(settings.learning_rate) == "1.0" and repr(settings.betas) == "(1.0,)"


def test_toml_is_the_same_as_python(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        'dataset = "mnist"\nbetas = "0.1:10:log3"\nbatch-size = 50\n'
        'hidden = [64, 32]\nlearning-rate = 0.5\nruns-at-once = "auto"\nsave_posteriors = true\n'
    )
    expected = Settings(
        dataset="mnist",
        betas=(0.1, 1.0, 10.0),
        batch_size=50,
        hidden=(64, 32),
        learning_rate=0.5,
        save_posteriors=True,
    )
    assert from_mapping(read_config(path), str(path)) == expected


@pytest.mark.parametrize(
    "values, field, value",
    [
        ({"betas": "1,2"}, "betas", (1.0, 2.0)),
        ({"betas": [1, 2]}, "betas", (1.0, 2.0)),
        ({"hidden": "64, 32"}, "hidden", (64, 32)),
        ({"hidden": ""}, "hidden", ()),
        ({"hidden": []}, "hidden", ()),
        ({"runs_at_once": "auto"}, "runs_at_once", None),
        ({"runs_at_once": "3"}, "runs_at_once", 3),
        ({"runs_at_once": 3}, "runs_at_once", 3),
    ],
)
def test_text_of_the_shell_and_values_of_toml(values, field, value):
    assert getattr(from_mapping(values, "here"), field) == value


@pytest.mark.parametrize(
    "values, message",
    [
        ({"latent": 2}, "here: no setting is called 'latent'; did you mean latents?"),
        ({"two words": {}}, "here: no setting is called 'two words'."),
        ({"x": 1}, "here: no setting is called 'x'."),
        ({"betas": "a"}, "betas: cannot read 'a' (item 1 of 1); "),
        ({"betas": 1.0}, "betas must be numbers: 'float' object is not iterable; "),
        ({"target_rates": 0}, "target_rates must be numbers: 'int' object is not iterable; "),
        ({"hidden": "64;32"}, "hidden must be whole numbers such as 512,512: got '64;32'."),
        ({"epochs": {}}, "epochs must be a whole number of at least 1: got {}."),
        ({"hidden": [3.5]}, "hidden must be a whole number of at least 1: got 3.5."),
        ({"seeds": "three"}, "seeds must be a count or a range such as 5:10: got 'three'."),
        ({"seeds": "1:2:3"}, "seeds must be a count or a range such as 5:10: got '1:2:3'."),
        ({"seeds": "5:"}, "seeds must be a count or a range such as 5:10: got '5:'."),
        ({"seeds": "5:5"}, "seeds must be at least 1, or rise as 5:10 does: got '5:5'."),
        ({"seeds": "-1:5"}, "seeds must be at least 1, or rise as 5:10 does: got '-1:5'."),
        ({"seeds": "0"}, "seeds must be at least 1, or rise as 5:10 does: got '0'."),
        ({"seeds": "1:99999999"}, "seeds must be at most "),
        ({"seeds": True}, "seeds must be a whole number of at least 1: got True."),
        ({"seeds": 10**8}, "seeds must be at most "),
        ({"download": "no"}, "download must be true or false: got 'no'."),
        ({"runs_at_once": "many"}, "runs_at_once must be auto or a whole number: got 'many'."),
    ],
)
def test_every_refusal_of_a_mapping(values, message):
    with pytest.raises(SettingsError) as caught:
        PLAIN.from_mapping(values, "here")
    assert str(caught.value).startswith(message)


def test_from_mapping_leaves_its_argument_alone():
    values = {"betas": "1,2", "hidden": "8"}
    from_mapping(values, "here")
    assert values == {"betas": "1,2", "hidden": "8"}


@pytest.mark.parametrize("content", [b"betas = ", b"\xff", b"a = 1\na = 2", None])
def test_a_file_that_is_no_toml_or_not_there_is_named(tmp_path, content):
    path = tmp_path / "bad.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="config: cannot read .*bad.toml: "):
        read_config(path)


def test_grids_of_any_kind():
    assert PLAIN.Settings(target_rates=np.array([1.0, 2.0])).target_rates == (1.0, 2.0)
    assert PLAIN.Settings(betas="1:3:lin3", target_rates="12").betas == (1.0, 2.0, 3.0)
    assert PLAIN.Settings(target_rates="12").target_rates == (12.0,)


@pytest.mark.parametrize(
    "given, kept, seeds",
    [(3, 3, [0, 1, 2]), ("3", 3, [0, 1, 2]), ("0:3", 3, [0, 1, 2]), ("5:7", "5:7", [5, 6])],
)
def test_seeds_are_a_count_or_a_range(given, kept, seeds):
    settings = Settings(seeds=given)
    assert settings.seeds == kept and list(settings.seed_range) == seeds
    assert from_mapping(settings.as_json(), "manifest.json") == settings


def test_a_manifest_gives_the_settings_back():
    for epochs_or_steps in ("epochs", "steps"):
        excluded = ("epochs", "steps", "free_bits")  # the last by target rates
        values = {name: value for name, value in OTHER.items() if name not in excluded}
        settings = Settings(**values, **{epochs_or_steps: 5})
        stored = json.loads(json.dumps(settings.as_json()))
        again = from_mapping(stored, "manifest.json")
        assert again == settings and again.sha256() == settings.sha256()


@hypothesis_settings(derandomize=True, deadline=None, database=None, max_examples=50)
@given(st.lists(st.floats(0, 1e30), min_size=1, max_size=5, unique=True), st.floats(1e-30, 1e30))
def test_numbers_survive_the_manifest_digit_by_digit(betas, rate):
    settings = Settings(betas=tuple(betas), learning_rate=rate)
    stored = json.loads(json.dumps(settings.as_json()))
    assert from_mapping(stored, "manifest.json") == settings


def test_the_hash_is_the_same_in_another_process():
    program = "from ratedistortion.settings import Settings; print(Settings(seeds=3).sha256())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == Settings(seeds=3).sha256()


def test_the_hash_leaves_out_how_a_sweep_is_carried_out_and_nothing_else():
    base = Settings(dataset="kmnist", steps=10)
    for name, value in OTHER.items():
        values = {"dataset": "kmnist", "steps": 10} | {name: value}
        if name == "epochs":
            del values["steps"]
        if name == "first":
            values["max_examples"] = 10
        other = Settings(**values)
        engine = name in (
            *("device", "batching", "runs_at_once", "keep_models", "data_dir", "download"),
        )
        assert engine == (name in ENGINE_FIELDS)
        assert (other.sha256() == base.sha256()) == engine, name
        assert bool(differences(base, other)) != engine, name


def test_defaults_given_or_left_out_have_one_hash():
    given = Settings(dataset="digits", binarize="dynamic", epochs=100, seeds=1)
    assert Settings().sha256() == given.sha256()


def test_differences_are_lines_a_reader_understands():
    stored = Settings(dataset="kmnist", betas=(1.0, 2.0), steps=10, device="cpu")
    asked = Settings(dataset="mnist", betas=(1.0,), epochs=3, device="gpu")
    assert differences(stored, asked) == [
        'dataset: "kmnist" stored, "mnist" asked for',
        "betas: [1.0, 2.0] stored, [1.0] asked for",
        "epochs: null stored, 3 asked for",
        "steps: 10 stored, null asked for",
    ]
    assert differences(stored, stored) == []


@pytest.mark.parametrize(
    "values, loss",
    [
        ({}, "D + beta*R"),
        ({"free_bits": 0.1}, "D + beta*sum_i max(R_i, 0.1), R_i the rate of latent i"),
        ({"target_rates": (1.0, 2.0)}, "D subject to R = target_rate"),
        ({"warmup": 20}, "D + beta*R, beta rising linearly over 20 steps"),
    ],
)
def test_the_loss_is_the_one_that_is_minimised(values, loss):
    assert Settings(**values).loss() == loss


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().seeds = 2  # pyright: ignore[reportAttributeAccessIssue]


def test_an_older_version_took_the_first_examples():
    assert in_todays_terms({"max_examples": 9}) == {"max_examples": 9, "first": True}
    for stored in ({}, {"max_examples": None}, {"max_examples": 9, "first": False}):
        assert in_todays_terms(stored) == stored
