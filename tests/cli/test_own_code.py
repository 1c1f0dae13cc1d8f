"""Sweeps with a network of the user's own: only what is named on the command line is imported."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest
from commands import SMALL, check_error, check_message, rd_plot, rd_sweep, run, tree
from resealing import reseal, unsealed

import ratedistortion as rd
from ratedistortion.errors import SettingsError, Stopped
from ratedistortion.sweeping.manifest import Manifest

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

COMMAND = Path(sys.executable).with_name("rd-sweep")
SOURCE = '''\
"""It tells of every import."""
import pathlib

from ratedistortion.models.encoders import mlp

imports = pathlib.Path(__file__).with_name("imports")
imports.write_text(imports.read_text() + "x" if imports.exists() else "x")


def build(key, settings, shape):
    return mlp(key, settings, shape)
'''
OPTIONS = (*SMALL, "--steps", "20", "--betas", "0.5,2", "--runs-at-once", "1")
ASK = "this sweep has its own encoder net.py:build: name it again with --encoder net.py:build."


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished sweep of another process, beside the source of its encoder."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "net.py").write_text(SOURCE)
    command = (COMMAND, folder / "run", "--encoder", folder / "net.py:build", *OPTIONS, "--quiet")
    result = run(*command)
    assert result.returncode == 0, result.stderr
    assert (folder / "imports").read_text() == "x"
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A copy that a test may change, which is the working directory."""
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    (copy / "imports").unlink()
    monkeypatch.chdir(copy)
    yield copy
    for name in [name for name in sys.modules if name.startswith("net.py@")]:
        del sys.modules[name]


@pytest.fixture
def unfinished(folder):
    """A copy that lacks the second chunk."""
    (folder / "run" / "rd.parquet").unlink()
    shutil.rmtree(folder / "run" / "chunks" / "0001")
    return folder


def test_a_finished_sweep_is_shown_without_its_code(folder):
    (folder / "net.py").unlink()
    before = tree(folder)
    result = rd_sweep("run")
    assert result.exit_code == 0 and "I(n;z)" in result.stdout
    assert rd_sweep("run", "--codes", "10000").exit_code == 0
    assert rd_plot("run", "--summary").exit_code == 0
    assert tree(folder) == before
    assert rd_plot("run", "-o", "curve.png").exit_code == 0
    table = rd.read("run")
    assert set(table["encoder"]) == {"net.py:build"} and set(table["decoder"]) == {"mlp"}
    stored = table.attrs["ratedistortion"]["settings"]["encoder"]
    assert stored == unsealed(folder / "run" / "manifest.json")["settings"]["encoder"]
    assert stored.startswith("net.py:build@sha256:")


def test_nothing_that_is_stored_says_where_the_code_lies(made):
    for path in (made / "run").rglob("*"):
        if path.is_file():
            assert str(made).encode() not in path.read_bytes(), path


def test_an_unfinished_sweep_imports_nothing_and_asks_for_its_code(unfinished):
    before = tree(unfinished)
    for options in ((), ("--codes", "10000"), ("--extend", "--betas", "3"), ("--dry-run",)):
        check_message(rd_sweep("run", *options), 2, ASK)
    with pytest.raises(SettingsError, match="name it again"):
        rd.sweep(None, "run", progress=False)
    assert len(rd.read("run")) == 2
    for path, content in before.items():
        if path.is_file() and path.name not in (".owner", ".lock"):
            assert (path.stat().st_mtime_ns, path.read_bytes()) == content
    assert not (unfinished / "imports").exists()


def test_a_sweep_that_is_stopped_says_which_code_to_name(folder):
    settings = rd.Settings(encoder="./net.py:build", max_examples=200, hidden=(8,), steps=20)
    with pytest.raises(Stopped, match="`rd-sweep new --encoder ./net.py:build` continues"):
        rd.sweep(settings, "new", stop_signal=lambda: "SIGTERM", progress=False)


def test_with_its_code_named_again_it_goes_on_to_the_same_table(unfinished, made):
    (unfinished / "nets").mkdir()
    (unfinished / "net.py").rename(unfinished / "nets" / "net.py")
    result = rd_sweep("run", "--encoder", "nets/net.py:build", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert rd.read("run").equals(rd.read(made / "run"))


def test_settings_of_a_stranger_that_name_code_without_its_sum_are_damaged(unfinished):
    manifest = unfinished / "run" / "manifest.json"
    values = unsealed(manifest)["settings"]
    for name in ("net.py:build", str(unfinished / "net.py:build"), "net:build", "net.py:build@x"):
        reseal(manifest, settings=values | {"encoder": name})
        for options in ((), ("--codes", "10000")):
            check_error(rd_sweep("run", *options), 4, "manifest.json: it is damaged", "no SHA-256")
    assert not (unfinished / "imports").exists()


def test_a_changed_file_is_refused_with_both_sums(unfinished):
    stored = unsealed(unfinished / "run" / "manifest.json")["settings"]["encoder"]
    (unfinished / "net.py").write_text(SOURCE + "# changed\n")
    now = rd.Settings(encoder="net.py:build").encoder.rpartition(":")[2][:12]
    then = stored.rpartition(":")[2][:12]
    words = f"encoder: restore net.py, which has changed: SHA-256 {then}… then, {now}… now."
    check_error(rd_sweep("run", "--encoder", "net.py:build"), 4, "another configuration", words)
    other = 'encoder: "net.py:build" stored, "mlp" asked for'
    check_error(rd_sweep("run", "--encoder", "mlp"), 4, other)
    assert not (unfinished / "imports").exists()


def test_chunks_belong_to_one_version_of_the_code(unfinished):
    manifest = Manifest.read(unfinished / "run")
    assert manifest is not None
    (part,) = manifest.parts()
    stored = manifest.settings.encoder

    def sweep_id(encoder):
        values = manifest.values | {"settings": manifest.values["settings"] | {"encoder": encoder}}
        changed = dataclasses.replace(manifest, values=values)
        return changed.with_part(part.runs, part.plan).parts()[-1].sweep_id

    assert sweep_id(stored) == part.sweep_id
    assert sweep_id(f"{stored[:-1]}{'0' if stored[-1] != '0' else '1'}") != part.sweep_id


@pytest.mark.parametrize(
    "value, words",
    [
        ("none.py:build", ["encoder none.py:build: ", "there is no such file"]),
        ("net.py", ["encoder net.py: say which function builds it: net.py:NAME."]),
        ("net.py:none", ["net.py has no none."]),
        ("broken.py:build", ["encoder broken.py:build, line 2 of broken.py: ZeroDivisionError"]),
    ],
)
def test_code_that_cannot_be_used_is_one_line_and_exit_2(folder, value, words):
    Path("broken.py").write_text("\n1 / 0\n")
    check_error(rd_sweep("new", "--encoder", value), 2, *words)
    assert not Path("new").exists()


def test_the_help_and_json_know_code_of_one_s_own(folder):
    assert "mlp|conv|resnet|iaf|FILE.py:NAME]" in rd_sweep("--help").stdout
    result = rd_sweep(
        "new", "--encoder", "net.py:build", *OPTIONS, "--dry-run", "--json", "--quiet"
    )
    assert json.loads(result.stdout)["runs"] == 2
