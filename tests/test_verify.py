"""`rd-sweep --verify` passes here, and names what is broken when an estimator is."""

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from ratedistortion import estimators, units, verify
from ratedistortion.cli.results import checks
from ratedistortion.cli.sweep import main


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the sweep, which takes half a minute."""
    monkeypatch.setattr(verify, "_sweep", lambda report: [])
    yield


def test_it_passes_and_prints_every_check() -> None:
    result = CliRunner().invoke(main, ["--verify"])
    assert result.exit_code == 0, result.output
    assert "rate at beta 0.5" in result.stdout and "slope from beta" in result.stdout
    assert result.stdout.splitlines()[-1] == "37 of 37 checks passed"


def failed(done: list[verify.Check]) -> str:
    return checks(done).splitlines()[-1].partition("failed: ")[2]


def test_it_names_a_mutual_information_that_is_wrong(small, monkeypatch) -> None:
    right = estimators.mixture_terms

    def minibatch_of_them(codes, variance, own, posteriors):  # log(batch) whatever the encoder is
        terms = right(codes, variance, own, posteriors)
        return terms._replace(information=terms.information + 0.05)

    monkeypatch.setattr(estimators, "mixture_terms", minibatch_of_them)
    text = failed(verify.verify())
    assert "I(n;z), 2 posteriors" in text and "marginal KL" not in text


def test_it_names_a_marginal_kl_that_is_wrong(small, monkeypatch) -> None:
    right = estimators.mixture_terms

    def half_the_mixture(codes, variance, own, posteriors):
        terms = right(codes, variance, own, posteriors)
        return terms._replace(log_mixture=terms.log_mixture - 0.05)

    monkeypatch.setattr(estimators, "mixture_terms", half_the_mixture)
    text = failed(verify.verify())
    assert "marginal KL, 2 posteriors" in text and "I(n;z)" not in text


def test_it_names_a_unit_that_is_wrong(small, monkeypatch) -> None:
    monkeypatch.setattr(verify, "per_nat", lambda name, dimensions: 1.44)
    assert units.per_nat("bits", 8) != 1.44
    result = CliRunner().invoke(main, ["--verify"])
    assert result.exit_code == 1
    assert "failed: 1 nat in bits" in result.stdout.splitlines()[-1]
