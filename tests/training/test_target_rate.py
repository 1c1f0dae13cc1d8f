"""A target rate: how its multiplier moves, and where it ends on sources whose optimum is known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion.settings import Settings
from ratedistortion.training.state import SweptParameters
from ratedistortion.training.target_rate import rate_at_target

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

STEPS, WARMUP, TARGET = 100, 8, 5.0
LAGRANGIAN = rate_at_target(Settings(start="random", warmup=WARMUP), STEPS)
ARGUMENTS = SweptParameters(jnp.float32(2), jnp.float32(0.1), jnp.int32(0), jnp.float32(TARGET))


@pytest.mark.parametrize("error", [-3.0, -0.4, 0.0, 0.7, 4.0])
@pytest.mark.parametrize("step, share", [(1, 0.25), (7, 1.0), (60, 1.0)])
def test_the_gradient_weighs_the_rate_by_the_multiplier_pushed_by_the_error(error, step, share):
    def loss(rate: jax.Array) -> jax.Array:
        return LAGRANGIAN.loss(jnp.float32(0.3), ARGUMENTS, jnp.int32(step), rate)

    weight = jax.grad(loss)(jnp.float32(TARGET + error))
    pushed = math.exp(0.3 + min(max(error, -1.0), 1.0))
    assert float(weight) == pytest.approx(share * pushed, rel=1e-5)


@pytest.mark.parametrize("error, step", [(0.5, 0), (-0.2, 50), (9.0, 25), (-9.0, 75), (1.0, 100)])
def test_log_beta_moves_by_the_error_at_a_pace_that_falls_to_zero(error, step):
    """In all steps together by 30 at an error of 1 nat or more."""
    rate = jnp.float32(TARGET + error)
    moved = LAGRANGIAN.update(jnp.float32(0.3), ARGUMENTS, jnp.int32(step), rate) - 0.3
    decay = (1 + math.cos(math.pi * step / STEPS)) / 2
    expected = 60 / STEPS * decay * min(max(error, -1.0), 1.0)
    assert float(moved) == pytest.approx(expected, abs=1e-6)


def test_from_the_beta_of_the_linear_model_log_beta_moves_less():
    slow = rate_at_target(Settings(start="linear"), STEPS)
    rate, step = jnp.float32(TARGET + 2), jnp.int32(0)
    assert float(slow.update(jnp.float32(0), ARGUMENTS, step, rate)) == pytest.approx(10 / STEPS)


def test_beta_starts_where_it_is_asked_to_and_ends_at_1000():
    start = LAGRANGIAN.init(ARGUMENTS)
    assert float(start) == pytest.approx(math.log(2))
    far = LAGRANGIAN.init(ARGUMENTS._replace(beta=jnp.float32(1e6)))
    assert float(far) == pytest.approx(math.log(1000))
    log_beta = start
    for _ in range(20):
        log_beta = LAGRANGIAN.update(log_beta, ARGUMENTS, jnp.int32(0), jnp.float32(50.0))
    assert math.exp(log_beta) == pytest.approx(1000, rel=1e-5)


@pytest.mark.parametrize("rate, penalty", [(4.75, 0), (5.25, 0), (4.5, 250), (6.25, 1000)])
def test_held_out_images_punish_a_rate_more_than_a_twentieth_off(rate, penalty):
    found = LAGRANGIAN.held_out(ARGUMENTS, jnp.float32(rate))
    assert float(found) == pytest.approx(penalty, rel=1e-5, abs=1e-3)


def test_target_rates_are_met_and_beta_is_the_slope_there(train_linear):
    """R and D of reverse water-filling at beta 0.5, 1 and 2 (by hand, in test_measure.py).

    A target of zero besides: there all three latents collapse.
    """
    targets = (3.45388, 2.41416, 1.60944, 0.0)
    state, distortion, rate = train_linear(target_rates=targets)
    np.testing.assert_allclose(rate[:3], targets[:3], rtol=0.01)
    # 4,000 draws of the source: its variances are known to 2%.
    np.testing.assert_allclose(distortion[:3], [1.092659, 1.842659, 2.967659], rtol=0.04)
    beta = np.exp(state.log_beta)
    np.testing.assert_allclose(beta[:3], [0.5, 1.0, 2.0], rtol=0.1)
    assert beta[3] > 8  # where the widest of the three latents gives up
    assert rate[3] < 0.02


def test_the_best_of_a_target_rate_is_one_that_meets_it(train_linear):
    """The multiplier is far above 1, and at the first comparison R is far from its target."""
    state, _, rate = train_linear(target_rates=(1.0,), select="best", steps=8000)
    assert state.best.step[0] > 160  # the first comparison
    np.testing.assert_allclose(rate, 1.0, rtol=0.1)
    beta = np.exp(state.best.log_beta)
    np.testing.assert_allclose(beta, 2 / np.e / 0.2, rtol=0.25)  # by hand, as above
