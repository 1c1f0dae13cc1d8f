"""Measurements of a hand-built linear-Gaussian model against closed forms and quadrature."""

import dataclasses
import functools
import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skips import no_skip, raw_log_scale

from ratedistortion.estimators import Estimate
from ratedistortion.measuring.measurement import Codes, Measurement, make_measure
from ratedistortion.models.autoencoder import Autoencoder, Model, Posterior
from ratedistortion.models.gaussian import StandardNormal
from ratedistortion.settings import Settings

# Several blocks of 250 images and a rest, in 16 equal groups. All tests that can use this number of
# images share one compiled program.
IMAGES, STORED_SCALE, NOISE = 1104, 0.5, 0.8
SIGMAS = 4.0
# Compiling takes longer than measuring: leave out LLVM's optimisation.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
# One dimension of x, one of z: q(z|x) = N(A x + B, S^2), p(x|z) = N(W z + C, NOISE^2).
A, B, S, W, C = 0.9, 0.2, 0.4, 1.1, -0.3


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class AffineEncoder:
    slope: jax.Array
    shift: jax.Array
    log_scale: jax.Array
    gaussian = True

    def __call__(self, x: jax.Array) -> Posterior:
        return Posterior(self.slope * x + self.shift, jnp.zeros_like(x) + self.log_scale)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class AffineDecoder:
    slope: jax.Array
    shift: jax.Array
    autoregressive = False

    def __call__(self, z: jax.Array) -> jax.Array:
        return self.slope * z + self.shift


def model_of(a: float = A, b: float = B, s: float = S) -> Model:
    return Model(
        AffineEncoder(*map(jnp.float32, (a, b, raw_log_scale(s)))),
        AffineDecoder(jnp.float32(W), jnp.float32(C)),
        StandardNormal(1),
        no_skip(1, 1, 1),
    )


def autoencoder_of(latents: int = 1, scale: float = NOISE) -> Autoencoder:
    settings = Settings(
        dataset="made", likelihood="gaussian", likelihood_scale=scale, latents=latents
    )
    return Autoencoder(settings, (latents,))


STORED = np.random.default_rng(0).normal(size=(IMAGES, 1)).astype(np.float32) * 2
X = STORED.astype(float)[:, 0] * STORED_SCALE


class Measure:
    """`make_measure`, compiled once for each number of codes."""

    def __init__(self) -> None:
        self.compiled: dict[tuple[int, int], Any] = {}

    def __call__(
        self, model: Model, seed: int = 0, codes: int = 10**6, images: np.ndarray = STORED
    ) -> tuple[Measurement, Codes]:
        key = codes, len(images)
        with jax.enable_x64(True):
            if key not in self.compiled:
                self.compiled[key] = jit(make_measure(autoencoder_of(), 1, STORED_SCALE, codes))
            results = self.compiled[key](model, jnp.asarray(images), jnp.int32(seed))
            return jax.tree.map(np.asarray, results)


@pytest.fixture(scope="module")
def measure() -> Measure:
    return Measure()


@pytest.fixture(scope="module")
def measured(measure: Measure) -> tuple[Measurement, Codes]:
    return measure(model_of())


def truth(x: np.ndarray, a: float = A, b: float = B, s: float = S) -> dict[str, float]:
    """R and D in closed form; I(n;z) and marginal KL by the trapezoid rule, in nats per image."""
    mean = a * x + b
    z = np.linspace(mean.min() - 9 * s, mean.max() + 9 * s, 6001)
    log_q = -0.5 * ((z - mean[:, None]) / s) ** 2 - math.log(s * math.sqrt(2 * math.pi))
    q = np.exp(log_q).mean(0)
    log_mixture = np.log(np.maximum(q, 1e-300))
    own_entropy = 0.5 * math.log(2 * math.pi * math.e * s**2)
    log_p = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
    error = np.mean((x - W * mean - C) ** 2) + (W * s) ** 2
    second = np.mean(mean**2) + s**2
    variance = np.var(mean) + s**2
    return {
        "rate": 0.5 * (second - 1 - 2 * math.log(s)),
        "distortion": error / (2 * NOISE**2) + math.log(NOISE * math.sqrt(2 * math.pi)),
        "mutual_information": np.trapezoid(-q * log_mixture, z) - own_entropy,
        "marginal_kl": np.trapezoid(q * (log_mixture - log_p), z),
        "gaussian": 0.5 * (second - 1 - math.log(variance)),
    }


TRUTH = truth(X)


def within(estimate: Estimate, value: float) -> bool:
    return abs(estimate.value - value) < SIGMAS * estimate.standard_error


def test_the_truths_obey_the_identity():
    total = TRUTH["mutual_information"] + TRUTH["marginal_kl"]
    assert total == pytest.approx(TRUTH["rate"], abs=1e-6)


def test_everything_is_float64_but_the_codes(measured):
    measurement, codes = measured
    numbers = measurement.by_name()
    assert numbers.pop("active_units").dtype == np.int64
    assert {leaf.dtype for leaf in jax.tree.leaves(numbers)} == {np.dtype(np.float64)}
    *arrays, rate, distortion, chosen, prior = codes
    assert {name: np.ravel(array) for name, array in prior.items()} == {
        "prior_mean": [0.0],
        "prior_scale": [1.0],
    }
    assert {leaf.dtype for leaf in arrays} == {np.dtype(np.float32)}
    assert {leaf.shape for leaf in arrays} == {(IMAGES, 1)}
    assert rate.mean() == pytest.approx(measurement.rate.value)
    assert distortion.mean() == pytest.approx(measurement.distortion.value)
    assert sorted(chosen) == list(range(IMAGES))


def test_the_rate_is_the_closed_form(measured):
    rate, error = measured[0].rate
    assert float(rate) == pytest.approx(TRUTH["rate"], rel=1e-5)  # parameters are float32
    each = 0.5 * ((A * X + B) ** 2 + S**2 - 1 - 2 * math.log(S))
    assert float(error) == pytest.approx(each.std(ddof=1) / math.sqrt(IMAGES), rel=1e-5)


def test_the_distortion_is_the_closed_form_within_its_error(measured):
    distortion = measured[0].distortion
    assert within(distortion, TRUTH["distortion"])
    assert distortion.standard_error < 0.06


def test_the_negative_elbo_is_their_sum(measured):
    m = measured[0]
    assert float(m.negative_elbo.value) == pytest.approx(float(m.rate.value + m.distortion.value))
    # Both terms vary with x, so that the error of the sum is not that of independent terms.
    assert m.negative_elbo.standard_error != np.hypot(m.rate[1], m.distortion[1])


def test_information_and_marginal_kl_are_those_of_quadrature(measured):
    m = measured[0]
    assert within(m.information.mutual_information, TRUTH["mutual_information"])
    assert within(m.information.marginal_kl, TRUTH["marginal_kl"])
    assert m.information.mutual_information.standard_error < 0.02
    assert m.information.marginal_kl.standard_error < 0.03


def test_the_identity_holds_within_its_error(measured):
    m = measured[0]
    residual = m.information.identity_residual
    assert within(residual, 0.0)
    assert float(residual.value) == pytest.approx(
        float(
            m.rate.value - m.information.mutual_information.value - m.information.marginal_kl.value
        ),
        abs=1e-12,
    )
    assert 0 < residual.standard_error < 0.05


def test_the_bounds_bracket_the_information(measured):
    m = measured[0]
    truth = TRUTH["mutual_information"]
    lower, upper = m.information.mutual_information_lower, m.information.mutual_information_upper
    assert lower.value - SIGMAS * lower.standard_error < truth
    assert upper.value + SIGMAS * upper.standard_error > truth
    assert lower.value > truth / 2 and upper.value < math.log(IMAGES)


def test_the_matched_gaussian_is_the_closed_form(measured):
    m = measured[0]
    assert float(m.information.marginal_kl_gaussian) == pytest.approx(TRUTH["gaussian"], rel=1e-5)


def test_errors_are_the_spread_of_what_they_are_of(measure):
    """Sharp codes of all images: their choice adds nothing, and only the noise of z is left."""
    sharp, seeds = model_of(a=5.0, s=0.01), range(12)
    drawn = [measure(sharp, seed)[0] for seed in seeds]
    for name in ("marginal_kl", "identity_residual"):
        values, errors = np.array([m.by_name()[name] for m in drawn]).T
        assert 0.5 < np.std(values, ddof=1) / errors.mean() < 2.0, name
    each = 0.5 * ((5.0 * X + B) ** 2 + 0.01**2 - 1 - 2 * math.log(0.01))
    assert errors.mean() < 0.1 * each.std() / math.sqrt(IMAGES)


@pytest.mark.slow
def test_the_example_of_calibration_runs(monkeypatch, capsys):
    path = Path(__file__).parents[2] / "examples" / "calibration.py"
    spec = importlib.util.spec_from_file_location("calibration", path)
    assert spec and spec.loader
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(example, "REPLICATIONS", 3)
    monkeypatch.setattr(example, "IMAGES", 300)
    monkeypatch.setattr(jax, "jit", jit)
    example.main()
    shares = re.findall(r"([\d.]+)%\n", capsys.readouterr().out)
    assert len(shares) == 8 and float(np.mean(list(map(float, shares)))) > 60


def test_leave_one_out_bounds_the_population_s_information(measured):
    """R minus the matched Gaussian's part bounds what these images tell, and no other images."""
    m = measured[0]
    # With Gaussian x the population's information is 1/2 log(1 + a^2 var / s^2).
    population = 0.5 * math.log(1 + A**2 * 1.0 / S**2)
    loo = m.information.leave_one_out
    assert loo.value > population - SIGMAS * loo.standard_error


def test_the_codes_are_those_of_the_posteriors(measured):
    mean, scale, code, drawn = (np.asarray(leaf, float)[:, 0] for leaf in measured[1][:4])
    np.testing.assert_allclose(mean, A * X + B, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scale, S, rtol=1e-6)
    noise = (code - mean) / scale
    np.testing.assert_allclose(noise, drawn, atol=1e-5)
    assert abs(noise.mean()) < SIGMAS / math.sqrt(IMAGES)
    assert noise.std() == pytest.approx(1, abs=SIGMAS / math.sqrt(2 * IMAGES))


def test_one_seed_draws_the_same_noise_for_every_model(measure):
    def noise(model: Model, seed: int) -> np.ndarray:
        mean, scale, code, *_ = measure(model, seed)[1]
        return (code - mean) / scale

    first, second = noise(model_of(), 3), noise(model_of(a=0.1, b=0.0, s=2.0), 3)
    np.testing.assert_allclose(first, second, atol=1e-4)
    assert np.mean(np.isclose(first, noise(model_of(), 4), atol=1e-4)) < 0.01


@pytest.mark.slow
def test_fewer_codes_are_held_against_all_posteriors(measure):
    """Of a subset of the posteriors the information would be less, by log 1104 - log 100."""
    few, all_codes = measure(model_of(s=1e-3), codes=100)[0], measure(model_of(s=1e-3))[0]
    sharp = truth(X, s=1e-3)["rate"]
    for m in (few, all_codes):
        assert float(m.rate.value) == pytest.approx(sharp, rel=1e-5)
        assert within(m.information.identity_residual, 0.0)
        assert m.information.mutual_information.value > math.log(100) + 0.5
    assert (
        few.information.mutual_information.standard_error
        > 2 * all_codes.information.mutual_information.standard_error
    )
    assert within(
        few.information.mutual_information, float(all_codes.information.mutual_information.value)
    )


def test_the_codes_that_count_are_of_images_chosen_at_random(measure):
    """Images of a data set can be sorted."""
    chosen = measure(model_of(), codes=100)[1].chosen
    assert len(set(chosen.tolist())) == 100
    # Six standard errors of a mean place.
    assert abs(chosen.mean() / IMAGES - 0.5) < 6 / math.sqrt(12 * 100)


def test_splits_of_other_sizes_have_other_noise(measure):
    some, others = (measure(model_of(), images=STORED[:n])[1].noise[:64] for n in (64, IMAGES))
    assert np.mean(some == others) < 0.05


def test_a_saturated_model_has_exactly_log_n(measure):
    """All pairs of images are at least 30 scales apart."""
    images = np.arange(64, dtype=np.float32)[:, None]
    m = measure(model_of(a=1.0, s=1e-2), images=images)[0]
    information = m.information.mutual_information
    assert float(information.value) == pytest.approx(math.log(64), abs=1e-14)
    assert float(information.standard_error) == pytest.approx(0, abs=1e-12)
    for bound in (m.information.mutual_information_lower, m.information.mutual_information_upper):
        assert float(bound.value) == pytest.approx(math.log(64), abs=1e-6)
    assert m.information.leave_one_out.value > 100  # it explodes, and is no use
    assert within(m.information.identity_residual, 0.0)


def test_a_collapsed_model_has_exactly_nothing(measure):
    m = measure(model_of(a=0.0, b=0.0, s=1.0))[0]
    assert tuple(map(float, m.rate)) == (0.0, 0.0)
    assert float(m.information.mutual_information.value) == pytest.approx(0, abs=1e-13)
    for estimate in (
        m.information.marginal_kl,
        m.information.identity_residual,
        m.information.mutual_information_lower,
    ):
        assert float(estimate.value) == pytest.approx(0, abs=1e-6)
    assert float(m.information.marginal_kl_gaussian) == pytest.approx(0, abs=1e-12)
    assert float(m.information.mutual_information_upper.value) == pytest.approx(0, abs=1e-12)
    assert int(m.information.active_units) == 0


# --- Whole measurements of models whose figures are known ---------------------------------------


@pytest.mark.parametrize(
    "means, scale, information, rate, marginal, matched",
    [
        ((-1.0, 1.0), 1.0, 0.336831, 0.500000, 0.163169, 0.153426),
        ((-1.0, 1.0), 0.5, 0.632720, 0.818147, 0.185427, 0.013428),
        ((-1.5, -0.5, 0.5, 1.5), 0.5, 0.845233, 0.943147, 0.097914, 0.047267),
        (tuple(np.linspace(-2, 2, 16)), 0.2, 1.719509, 1.884993, 0.165484, 0.056070),
    ],
)
def test_equal_groups_of_images_have_the_figures_of_quadrature(
    measure, means, scale, information, rate, marginal, matched
):
    """To six figures. Copies of an image make N larger, and I(n;z) no other."""
    images = np.resize(np.float32(means) / STORED_SCALE, (IMAGES, 1))
    m = measure(model_of(a=1.0, b=0.0, s=scale), images=images)[0]
    assert float(m.rate.value) == pytest.approx(rate, abs=2e-6)
    assert float(m.information.marginal_kl_gaussian) == pytest.approx(matched, abs=2e-6)
    assert within(m.information.mutual_information, information)
    assert within(m.information.marginal_kl, marginal)
    assert m.information.mutual_information_lower.value - 3e-6 <= information
    assert m.information.mutual_information_upper.value + 3e-6 >= information


VARIANCES, DECODER_SCALE = np.array([4, 1, 0.25]), 0.2**0.5


@pytest.fixture(scope="module")
def linear_gaussian() -> Any:
    """20,000 images with exactly the source's moments, and how the optimum of a beta measures."""
    x = np.random.default_rng(1).normal(size=(20_000, 3))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
    images = jnp.asarray(x * np.sqrt(VARIANCES), jnp.float32)
    with jax.enable_x64(True):
        compiled = jit(make_measure(autoencoder_of(3, DECODER_SCALE), 3, 1.0, 2000))

    def measured(beta: float) -> Measurement:
        """q(z|x) is the channel of the reverse water-filling point at the level beta s^2."""
        left = np.minimum(beta * DECODER_SCALE**2 / VARIANCES, 1)  # share of variance not coded
        slope, gain = np.sqrt((1 - left) / VARIANCES), np.sqrt((1 - left) * VARIANCES)
        slope, gain, log_scale = (
            jnp.asarray(part[None], jnp.float32)
            for part in (slope, gain, raw_log_scale(np.sqrt(left)))
        )
        nothing = jnp.zeros((1, 3), jnp.float32)
        model = Model(
            AffineEncoder(slope, nothing, log_scale),
            AffineDecoder(gain, nothing),
            StandardNormal(3),
            no_skip(3, 3, 3),
        )
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, compiled(model, images, jnp.int32(0))[0])

    return measured


@pytest.mark.slow
@pytest.mark.parametrize(
    "beta, rate, mse, distortion",
    [
        (0.1, 5.86803, 0.06, 0.492659),
        (0.5, 3.45388, 0.30, 1.092659),
        (1.0, 2.41416, 0.60, 1.842659),
        (2.0, 1.60944, 1.05, 2.967659),
    ],
)
def test_the_optimum_of_a_linear_gaussian_model(linear_gaussian, beta, rate, mse, distortion):
    """By hand, to six figures. There q(z) of the source is the prior, so I(X; Z) = R."""
    m = linear_gaussian(beta)
    assert float(m.rate.value) == pytest.approx(rate, rel=3e-6)
    assert within(m.distortion, distortion) and m.distortion.standard_error < 0.03
    constant = 1.5 * math.log(2 * math.pi * DECODER_SCALE**2)
    squares = Estimate(*((m.distortion[n] - constant * (n == 0)) * 0.4 for n in (0, 1)))
    assert within(squares, mse)
    assert float(m.information.marginal_kl_gaussian) == pytest.approx(0, abs=1e-6)
    # A sample of N images has some marginal KL: about e^(2 R) / 2N nats while that is small.
    few = math.exp(2 * rate) / 40_000
    assert within(m.information.identity_residual, 0.0)
    assert (
        -few - SIGMAS * m.information.mutual_information.standard_error
        < (m.information.mutual_information.value - rate)
        < SIGMAS * m.information.mutual_information.standard_error
    )
    assert (
        abs(m.information.marginal_kl.value)
        < few + SIGMAS * m.information.marginal_kl.standard_error
    )
    assert int(m.information.active_units) == (2 if beta == 2 else 3)


@pytest.mark.slow
def test_blocks_of_images_change_nothing_but_rounding(measured, monkeypatch):
    """All images at once; elsewhere 250 at a time, and a rest."""
    monkeypatch.setattr("ratedistortion.measuring.measurement.BATCH", IMAGES)
    found, codes = Measure()(model_of())
    expected = measured[0].by_name() | measured[1]._asdict()
    numbers = found.by_name() | codes._asdict()
    del numbers["prior"]
    for name, value in numbers.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_unit_is_active_if_its_mean_varies(measure):
    assert int(measure(model_of())[0].information.active_units) == 1
    assert int(measure(model_of(a=0.11 / X.std()))[0].information.active_units) == 1
    assert int(measure(model_of(a=0.09 / X.std()))[0].information.active_units) == 0


def test_a_model_that_is_nan_is_measured_as_nan(measure):
    m = measure(model_of(a=float("nan")))[0]
    for name in ("rate", "distortion", "mutual_information", "marginal_kl"):
        assert np.isnan(m.by_name()[name].value)
