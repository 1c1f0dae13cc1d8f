"""Releases of JAX that compute wrongly are refused, newer ones are warned of, others are silent."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from ratedistortion.cli.sweep import main
from ratedistortion.engine.releases import TESTED, WRONG_ON_CPUS, check_release, dotted
from ratedistortion.errors import SettingsError
from ratedistortion.events import Warned

CPU, GPU = [SimpleNamespace(platform="cpu")], [SimpleNamespace(platform="gpu")]
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def unheard(event: object) -> None:
    raise AssertionError(event)


@pytest.mark.parametrize("version", [*TESTED, (0, 10, 5)])
def test_nothing_is_said_of_a_release_up_to_the_newest_that_is_tested(monkeypatch, version):
    monkeypatch.setattr(jax, "__version_info__", version)
    for devices in (CPU, GPU):
        check_release(devices, unheard)


@pytest.mark.parametrize("version", WRONG_ON_CPUS)
def test_a_release_that_is_wrong_on_cpus_is_refused_there(monkeypatch, version):
    monkeypatch.setattr(jax, "__version_info__", version)
    with pytest.raises(SettingsError) as caught:
        check_release(CPU, unheard)
    assert str(caught.value) == (
        f"JAX {dotted(version)} computes wrong numbers on CPUs: run `pip install jax==0.11.0 flax`."
    )
    events = []
    check_release(GPU, events.append)
    assert len(events) == 1


def test_a_newer_release_is_one_warning(monkeypatch):
    monkeypatch.setattr(jax, "__version_info__", (0, 12, 1))
    events = []
    check_release(CPU, events.append)
    text = "JAX 0.12.1 is newer than any that this version was tested with (0.11.0): run"
    assert events == [Warned(f"{text} `rd-sweep --verify` first.")]


def test_the_command_refuses_before_it_computes(monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "__version_info__", (0, 11, 1))
    for more in ([], ["--dry-run"]):
        result = CliRunner().invoke(main, [str(tmp_path / "run"), "--steps", "1", *more])
        assert result.exit_code == 2
        (_, error) = result.stderr.splitlines()
        assert error.startswith("Error: JAX 0.11.1 computes wrong numbers on CPUs: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_warns_of_a_newer_release_and_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "__version_info__", (0, 12, 0))
    result = CliRunner().invoke(main, [str(tmp_path / "run"), "--steps", "1", "--dry-run"])
    assert result.exit_code == 0 and result.stdout
    (_, warning) = result.stderr.splitlines()  # behind the line of the data
    assert warning.startswith("Warning: JAX 0.12.0 is newer")


@pytest.mark.parametrize(
    "listed", [PROJECT["dependencies"], PROJECT["optional-dependencies"]["cuda"]]
)
def test_what_is_installed_agrees_with_what_is_known(listed):
    (jaxes,) = (each.specifier for each in map(Requirement, listed) if each.name == "jax")
    assert [version for version in TESTED if dotted(version) not in jaxes] == []
    excluded = {each.version for each in jaxes if each.operator == "!="}
    assert excluded == set(map(dotted, WRONG_ON_CPUS))
    assert {each.version for each in jaxes if each.operator == ">="} == {"0.10"}
