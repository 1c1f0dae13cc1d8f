"""Rows of the table from what was measured: columns that no other number would contradict."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from measured_like import HEALTHY, changed, of

from ratedistortion import datasets
from ratedistortion.engine.engine import Engine, MeasuredRun
from ratedistortion.engine.outcomes import Outcome
from ratedistortion.engine.plan import Plan, RunId, Sweep
from ratedistortion.measuring.measurement import Codes, Measurement
from ratedistortion.settings import Settings
from ratedistortion.sweeping.rows import facts, row
from ratedistortion.table.columns import COLUMNS

FINISHED = Outcome(0.5, None, None, None)
NO_CODES = Codes(*[np.zeros((1, 1), np.float32)] * 4, *[np.zeros(1)] * 2, np.zeros(1, int), {})


def engine_of(tmp_path, array=None, **values) -> Engine:
    """One that computes nothing: 480 images, of which 60 differ."""
    images = np.random.default_rng(0).integers(0, 256, (60, 9)).astype(np.uint8)
    copies = np.tile(images, (8, 1)) if array is None else array
    np.savez(tmp_path / "images.npz", train=copies, test=copies[:40])
    settings = Settings(
        dataset=str(tmp_path / "images.npz"), likelihood="gaussian", betas=(0.5,), **values
    )
    sweep = Sweep(settings, datasets.load(settings), Plan("map", 1, 1, 1))
    return Engine(sweep, jax.local_devices())


def row_of(engine: Engine, m: Measurement, outcome=FINISHED, split="train"):
    return row(engine, MeasuredRun(RunId(0.5, 0), split, m, NO_CODES), outcome)


HELD = changed(
    HEALTHY,
    mutual_information=of(3.5),
    mutual_information_lower=of(3.2),
    mutual_information_upper=of(4.0),
    marginal_kl=of(4.5),
    likelihood_scale=np.float64(1),
)


def test_numbers_of_images_and_their_logarithms(tmp_path):
    values = row_of(engine_of(tmp_path, codes=100), HELD)
    assert values["status"] == "ok" and values["failed_checks"] is None
    assert values["examples"] == 480 and values["distinct_examples"] == 60
    assert values["log_examples"] == math.log(480) and values["codes"] == 100
    assert set(COLUMNS) - set(values) == {"diverged_at_step", "label"}


def test_the_images_of_the_row_s_own_split_are_counted(tmp_path):
    values = row_of(engine_of(tmp_path), HELD, split="test")
    assert (values["examples"], values["distinct_examples"]) == (40, 40)


def test_the_squared_error_is_what_the_gaussian_likelihood_makes_of_d(tmp_path):
    """D = d/2 log(2 pi s^2) + d mse / (2 s^2), with d = 9 and s = 2."""
    measured = HELD._replace(likelihood_scale=np.float64(2))
    values = row_of(engine_of(tmp_path, likelihood_scale=2.0), measured)
    d = 4.5 * math.log(2 * math.pi * 4) + 9 * values["distortion_mse"] / 8
    assert d == pytest.approx(75.0)
    assert values["distortion_mse_se"] == pytest.approx(0.3 * 8 / 9)


@pytest.mark.parametrize("information, saturated", [(3.0, False), (3.2, True), (4.05, True)])
def test_copies_of_images_do_not_count_for_saturation(tmp_path, information, saturated):
    """60 images eight times each have a ceiling of log 60 = 4.09 nats."""
    m = changed(HELD, mutual_information=of(information), mutual_information_lower=of(2.9))
    values = row_of(engine_of(tmp_path), m)
    assert values["status"] == "ok" and values["saturated"] is saturated


def test_more_than_the_logarithm_of_different_images_is_an_alarm(tmp_path):
    m = changed(HELD, mutual_information=of(4.5), mutual_information_upper=of(4.6))
    values = row_of(engine_of(tmp_path), m)
    assert values["status"] == "suspect" and values["failed_checks"] == "I > its ceiling"


def test_a_run_that_diverged_has_no_number_and_says_what_stopped_it(tmp_path):
    values = row_of(engine_of(tmp_path), HELD, Outcome(0.5, 7, "R", None))
    assert values["status"] == "diverged" and values["diverged_at_step"] == 7
    assert values["failed_checks"] == "R is not finite"
    measured = ("rate", "rate_se", "distortion", "mutual_information", "saturated", "active_units")
    assert not any(name in values for name in measured)


def test_data_far_from_unit_scale_are_named_where_a_run_diverged(tmp_path):
    vectors = np.random.default_rng(0).normal(50, 1, (480, 9)).astype(np.float32)
    engine = engine_of(tmp_path, vectors, scale="none")
    values = row_of(engine, HELD, Outcome(0.5, 0, "the gradient", None))
    assert values["failed_checks"].startswith("the gradient is not finite; the data reach from 4")
    assert values["failed_checks"].endswith(": standardise them")


def test_numbers_that_are_infinite_after_the_last_step_are_divergence(tmp_path):
    values = row_of(engine_of(tmp_path), changed(HELD, negative_elbo=of(math.inf)))
    assert values["status"] == "diverged" and values["failed_checks"] == "R + D is not finite"


@pytest.mark.parametrize(
    "likelihood, scale, least",
    [("gaussian", 0.01, 9 * (math.log(0.01) + 0.5 * math.log(2 * math.pi)))]
    + [(name, 1.0, 0.0) for name in ("discretized-logistic", "categorical")],
)
def test_the_least_distortion_is_the_likelihood_s(tmp_path, likelihood, scale, least):
    engine = engine_of(tmp_path, likelihood_scale=scale)
    other = dataclasses.replace(engine.sweep.settings, likelihood=likelihood)
    engine = Engine(dataclasses.replace(engine.sweep, settings=other), jax.local_devices())
    known = facts(engine, MeasuredRun(RunId(0.5, 0), "test", HELD, NO_CODES))
    assert known.least_distortion == pytest.approx(least)


def test_the_entropy_of_a_source_counts_for_images_that_are_new():
    settings = Settings(dataset="bernoulli:0.3,16", max_examples=200, betas=(1.0,))
    sweep = Sweep(settings, datasets.load(settings), Plan("map", 1, 1, 1))
    engine = Engine(sweep, jax.local_devices())
    for split, entropy in (("train", None), ("test", 16 * 0.610864)):
        known = facts(engine, MeasuredRun(RunId(1.0, 0), split, HELD, NO_CODES))
        assert (known.entropy and known.entropy[0]) == (
            entropy and pytest.approx(entropy, abs=1e-4)
        )
