"""`rd-sweep --verify` passes here, and names what is broken when an estimator is."""

import math
from collections.abc import Callable, Iterable, Iterator

import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from click.testing import CliRunner

from ratedistortion import Settings, api, estimators, verify
from ratedistortion.cli.results import checks
from ratedistortion.cli.sweep import main
from ratedistortion.curve import analyse
from ratedistortion.measuring import information
from ratedistortion.table import units
from ratedistortion.theory import linear_gaussian_optimum
from ratedistortion.verify import known, machine, models, training

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leaves only the checks of `verify` that take less than a second."""
    monkeypatch.setattr(models, "recomputed", lambda: [])
    monkeypatch.setattr(training, "steps", lambda: [])
    monkeypatch.setattr(known, "linear_gaussian", lambda report: [])
    yield


@pytest.mark.slow
def test_a_sweep_that_stopped_too_early_is_called_under_trained(tmp_path) -> None:
    """The same model and source 30 steps after a random start."""
    settings = Settings(
        dataset="gaussian:4,1,0.25",
        max_examples=1000,
        encoder="linear",
        decoder="linear",
        likelihood="gaussian",
        likelihood_scale=math.sqrt(0.2),
        latents=3,
        betas=(0.1, 0.15, 0.2, 0.3, 0.45),
        steps=30,
        learning_rate=0.01,
        start="random",
        codes=100,
    )
    slopes = analyse(api.sweep(settings, tmp_path / "run").query("split == 'train'")).slopes
    assert set(slopes.verdict) == {"under-trained"}
    assert np.all(np.abs(slopes.ratio[1:-1] - 1) > 0.05)


def failed(done: Iterable[verify.Check]) -> str:
    return checks(list(done)).splitlines()[-1].partition("failed: ")[2]


def test_it_names_a_mutual_information_that_is_wrong(small, monkeypatch) -> None:
    right = estimators.mixture_terms

    def biased(*given):
        terms = right(*given)
        return terms._replace(information=terms.information + 0.05)

    monkeypatch.setattr(estimators, "mixture_terms", biased)
    text = failed(verify.verify())
    assert "I(n;z), 2 posteriors" in text and "marginal KL" not in text


def test_it_names_a_marginal_kl_that_is_wrong(small, monkeypatch) -> None:
    right = estimators.mixture_terms

    def half_the_mixture(*given):
        terms = right(*given)
        return terms._replace(log_mixture=terms.log_mixture - 0.05)

    monkeypatch.setattr(estimators, "mixture_terms", half_the_mixture)
    text = failed(verify.verify())
    assert "marginal KL, 2 posteriors" in text and "I(n;z)" not in text


def leave_one_out(right: estimators.MixtureTerms) -> estimators.MixtureTerms:
    return right._replace(log_mixture=right.log_others)


def log_of_the_batch(right: estimators.MixtureTerms) -> estimators.MixtureTerms:
    return right._replace(information=jnp.full_like(right.information, math.log(64)))


def a_hundredth_too_little(right: estimators.MixtureTerms) -> estimators.MixtureTerms:
    return right._replace(information=right.information - 0.01)


@pytest.mark.parametrize(
    "breakage, named, others",
    [
        (leave_one_out, "marginal KL", "I(n;z)"),
        (log_of_the_batch, "I(n;z)", "marginal KL"),
        (a_hundredth_too_little, "I(n;z)", "marginal KL"),
    ],
)
def test_the_command_fails_and_names_what_an_estimator_gets_wrong(
    small, monkeypatch, breakage: Callable, named: str, others: str
) -> None:
    right = estimators.mixture_terms
    monkeypatch.setattr(estimators, "mixture_terms", lambda *given: breakage(right(*given)))
    result = CliRunner().invoke(main, ["--verify"])
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-1]
    assert f"failed: {named}, 2 posteriors, scale 1" in last and others not in last


def without_errors_and_others(right: estimators.MixtureTerms) -> estimators.MixtureTerms:
    """Two faults of which each changes one number only, so that one compilation shows both."""
    return right._replace(log_others=right.log_mixture, spread=0 * right.spread)


@pytest.mark.slow
@pytest.mark.parametrize(
    "breakage, named",
    [
        (leave_one_out, ["marginal_kl"]),
        (without_errors_and_others, ["leave_one_out", "identity_residual_se"]),
    ],
)
def test_it_names_what_the_engine_measures_wrong(
    monkeypatch, breakage: Callable, named: list[str]
) -> None:
    """One model, whose programs are compiled with the fault in them."""
    monkeypatch.setattr(models, "_MODELS", models._MODELS[3:4])
    right = estimators.mixture_terms
    monkeypatch.setattr(information, "mixture_terms", lambda *given: breakage(right(*given)))
    text = failed(models.recomputed())
    assert all(f"{name}: vamp, categorical" in text for name in named)


def test_it_names_a_training_that_goes_elsewhere(monkeypatch) -> None:
    stored = training._TRAJECTORY
    monkeypatch.setattr(training, "_TRAJECTORY", (*stored[:3], (stored[3][0] + 0.1, stored[3][1])))
    assert failed(training.steps()) == "distortion of training step 24"


def test_jax_is_told_of_its_devices_before_it_starts(small, monkeypatch) -> None:
    """Otherwise a CPU is one device, and the programs for several devices are not checked."""
    asked = []
    monkeypatch.setattr(machine, "find_devices", lambda settings: asked.append(settings) or [])
    next(verify.verify())
    assert asked == [Settings()]


def optima(settings: Settings) -> pandas.DataFrame:
    """The table of a sweep that ended exactly at the optima."""
    found = []
    for beta in settings.betas:
        best = linear_gaussian_optimum(np.array([4, 1, 0.25]), settings.likelihood_scale, beta)
        values = {"rate": best.rate, "distortion": best.distortion}
        values |= {"mutual_information": best.rate, "marginal_kl": 0.0}
        values |= {"nll_iwae": best.rate + best.distortion}
        errors = {f"{name}_se": 1e-3 for name in values}
        found.append({"split": "train", "beta": beta} | values | errors)
    return pandas.DataFrame(found)


@pytest.mark.parametrize(
    "column, change, named",
    [
        ("rate", lambda table: 1.1 * table.rate, "rate at beta 1"),
        ("distortion", lambda table: table.distortion + 0.1, "distortion at beta 1"),
        ("mutual_information", lambda table: table.rate - 0.1, "mutual information at beta 1"),
        ("marginal_kl", lambda table: table.marginal_kl + 0.05, "marginal kl at beta 1"),
        ("distortion", lambda table: table.distortion + 0.1 * table.beta, "slope from beta 0.5"),
        ("rate", lambda table: table.rate * math.nan, "rate at beta 1"),
    ],
)
def test_it_names_what_a_sweep_gets_wrong(monkeypatch, column, change, named) -> None:
    """An exact table passes, and where one column is wrong, its name is printed."""

    def table(settings, *_, **options):
        right = optima(settings)
        return right.assign(**{column: change(right)}) if broken else right

    monkeypatch.setattr(api, "sweep", table)
    broken = False
    assert failed(known.linear_gaussian(print)) == ""
    broken = True
    failures = failed(known.linear_gaussian(print)).split(", ")
    assert any(failure.startswith(named) for failure in failures)
    allowed = column.replace("_", " "), "slope"
    assert all(failure.startswith(allowed) for failure in failures)


def test_it_names_a_unit_that_is_wrong(small, monkeypatch) -> None:
    monkeypatch.setattr(known, "per_nat", lambda name, dimensions: 1.44)
    assert units.per_nat("bits", 8) != 1.44
    result = CliRunner().invoke(main, ["--verify"])
    assert result.exit_code == 1
    assert "failed: 1 nat in bits" in result.stdout.splitlines()[-1]
