"""Terms of the mixture against quadrature, closed forms and a dense float64 sum in SciPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from ratedistortion import estimators
from ratedistortion.estimators import MixtureTerms, Posteriors, estimate

mixture_terms = jax.jit(estimators.mixture_terms)

pytestmark = pytest.mark.usefixtures("float64")

SIGMAS = 4.0  # one false alarm in 16,000 for each comparison, and the draws are fixed


def terms_of(codes: np.ndarray, own: np.ndarray, mean: np.ndarray, scale: np.ndarray):
    """The estimator's terms, as NumPy arrays."""
    noise = jnp.asarray((codes - mean[own]) / scale[own])
    posteriors = Posteriors(jnp.asarray(mean), jnp.asarray(scale))
    terms = mixture_terms(noise, jnp.asarray(own), posteriors)
    assert all(term.dtype == jnp.float64 for term in terms)
    return MixtureTerms(*map(np.asarray, terms))


def draw(random: np.random.Generator, count: int, mean: np.ndarray, scale: np.ndarray):
    own = random.integers(0, len(mean), count)
    return mean[own] + scale[own] * random.normal(size=(count, mean.shape[1])), own


def log_normal(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return -0.5 * ((x - mean) / scale) ** 2 - np.log(scale) - 0.5 * math.log(2 * math.pi)


# --- One latent: truths by quadrature ---------------------------------------------------------


def test_the_truths_are_those_of_quadrature(one_latent):
    """A trapezoid rule, which on analytic functions that vanish at both ends is exact."""
    mean, scale = one_latent.mean[:16], one_latent.scale[:16]
    z = np.linspace(-7, 7, 20_001)
    log_q = log_normal(z, mean, scale)
    q = np.exp(log_q).mean(0)
    ratio = np.log(q) - log_normal(z, np.array(0.0), np.array(1.0))
    assert np.trapezoid(q * ratio, z) == pytest.approx(one_latent.marginal_kl, abs=1e-6)
    terms = np.trapezoid(np.exp(log_q) * (log_q - np.log(q)), z, axis=1)
    assert terms.mean() == pytest.approx(one_latent.information, abs=1e-6)
    rate = 0.5 * np.mean(mean**2 + scale**2 - 1 - 2 * np.log(scale))
    assert rate == pytest.approx(one_latent.rate, abs=1e-6)
    variance = np.mean(mean**2 + scale**2)
    matched = 0.5 * (variance - 1 - math.log(variance))
    assert matched == pytest.approx(one_latent.matched, abs=1e-6)


def test_information_and_marginal_kl_are_those_of_quadrature(one_latent):
    mean, scale = one_latent.mean, one_latent.scale
    codes, own = draw(np.random.default_rng(1), 20_000, mean, scale)
    terms = terms_of(codes, own, mean, scale)
    marginal = terms.log_mixture - log_normal(codes[:, 0], np.array(0.0), np.array(1.0))
    difference = terms.log_own - terms.log_mixture
    for form, truth in (
        (terms.information, one_latent.information),
        (marginal, one_latent.marginal_kl),
        # The same information from the difference of log densities, and R from both.
        (difference, one_latent.information),
        (terms.information + marginal, one_latent.rate),
    ):
        measured = estimate(jnp.asarray(form))
        assert abs(measured.value - truth) < SIGMAS * measured.standard_error
        assert measured.standard_error < 0.02
    assert np.std(terms.information) < np.std(difference)


def test_a_batch_of_codes_has_the_information_of_the_encoder_not_the_log_of_its_size(one_latent):
    """MR-VAE's is 4.15 for a collapsed and 4.13 for an informative encoder: log 64 is 4.16."""
    mean, scale = one_latent.mean, one_latent.scale
    terms = terms_of(*draw(np.random.default_rng(14), 64, mean, scale), mean, scale)
    value, error = estimate(jnp.asarray(terms.information))
    assert abs(value - one_latent.information) < SIGMAS * error
    assert value < 2 < math.log(64)


# --- Exact cases ------------------------------------------------------------------------------


@pytest.mark.parametrize("count, latents", [(2, 1), (2049, 3), (100, 64)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 10.0])
def test_equal_posteriors_have_no_information(count, latents, scale):
    random = np.random.default_rng(2)
    mean = np.tile(100 + random.normal(size=(1, latents)), (count, 1))
    scales = np.tile(scale * np.exp(0.1 * random.normal(size=(1, latents))), (count, 1))
    codes, own = draw(random, 50, mean, scales)
    terms = terms_of(codes, own, mean, scales)
    assert abs(terms.information).max() < 1e-13


@pytest.mark.parametrize("count, latents", [(2, 1), (2049, 3), (100, 64), (60_000, 1)])
def test_posteriors_that_do_not_overlap_have_exactly_log_n(count, latents):
    mean = np.tile(100.0 * np.arange(count)[:, None], (1, latents))
    scale = np.full(mean.shape, 0.5)
    codes, own = draw(np.random.default_rng(3), 50, mean, scale)
    terms = terms_of(codes, own, mean, scale)
    assert set(terms.information.tolist()) == {math.log(count)}


@pytest.mark.parametrize("size", [1, 256])
def test_other_codes_change_the_terms_of_a_code_by_rounding_only(size):
    """One code an image, as a measurement has it."""
    random = np.random.default_rng(4)
    mean = random.normal(size=(600, 2))
    scale = np.exp(random.normal(size=mean.shape) - 1)
    codes, own = mean + scale * random.normal(size=mean.shape), np.arange(600)
    whole = terms_of(codes, own, mean, scale)
    for start in (0, 256, 600 - size):
        part = slice(start, start + size)
        some = terms_of(codes[part], own[part], mean, scale)
        for one, all_terms in zip(some, whole, strict=True):
            np.testing.assert_allclose(one, all_terms[part], rtol=1e-5, atol=1e-6)


# --- What other tools get wrong ---------------------------------------------------------------


def test_every_posterior_has_the_same_weight_wherever_it_stands():
    """The stratified weights of beta-tcvae depend on the order of the posteriors."""
    random = np.random.default_rng(11)
    mean = random.normal(size=(2049, 3))
    scale = np.exp(random.normal(size=mean.shape) - 1)
    codes, own = draw(random, 50, mean, scale)
    order = random.permutation(2049)
    place = np.argsort(order)
    shuffled = terms_of(codes, place[own], mean[order], scale[order])
    for one, other in zip(terms_of(codes, own, mean, scale), shuffled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("latents, scale", [(1, 0.1), (8, 1.0), (64, 1.0)])
def test_both_forms_of_the_information_agree_and_the_entropy_form_varies_less(latents, scale):
    """Same samples: log N - H[q(n|z)] is the mean over n of log q(z|x_n) - log q(z), given z."""
    random = np.random.default_rng(15)
    mean = random.normal(size=(500, latents)) / math.sqrt(latents)
    scales = scale * np.exp(0.2 * random.normal(size=mean.shape))
    terms = terms_of(*draw(random, 4000, mean, scales), mean, scales)
    entropy, difference = terms.information, terms.log_own - terms.log_mixture
    paired = estimate(jnp.asarray(entropy - difference))
    assert abs(paired.value) < SIGMAS * paired.standard_error
    errors = [estimate(jnp.asarray(form)).standard_error for form in (entropy, difference)]
    assert errors[0] < errors[1]


# --- A dense sum ------------------------------------------------------------------------------


def dense(codes: np.ndarray, own: np.ndarray, mean: np.ndarray, scale: np.ndarray):
    """All log densities at once, each from (z - mean) / scale, and SciPy's logsumexp."""
    constant = np.log(scale).sum(1) + mean.shape[1] / 2 * math.log(2 * math.pi)
    log_q = np.stack([-0.5 * (((z - mean) / scale) ** 2).sum(1) - constant for z in codes])
    count, rows = len(mean), np.arange(len(codes))
    log_total = logsumexp(log_q, axis=1, keepdims=True)
    share = np.exp(log_q - log_total)
    entropy = -np.where(share > 0, share * (log_q - log_total), 0).sum(1)
    others = log_q.copy()
    others[rows, own] = -np.inf
    return MixtureTerms(
        log_own=log_q[rows, own],
        log_mixture=log_total[:, 0] - math.log(count),
        log_others=logsumexp(others, axis=1) - math.log(count - 1),
        information=math.log(count) - entropy,
        spread=(share * (np.where(share > 0, log_q - log_total, 0) + entropy[:, None]) ** 2).sum(1),
    )


# Shapes (posteriors, latents) are few, as each of them is compiled.
@pytest.mark.slow
@settings(derandomize=True, deadline=None, database=None, max_examples=15)
@given(
    shape=st.sampled_from([(2, 1), (2, 64), (3, 8), (1000, 8), (2000, 64)]),
    kind=st.sampled_from(["1e-4", "1e-2", "1", "10", "any", "sharp and wide"]),
    spread=st.sampled_from([0.1, 1.0, 3.0]),
    offset=st.sampled_from([0.0, 100.0]),
    copies=st.sampled_from(["none", "equal", "near"]),
    seed=st.integers(0, 1000),
)
@example(shape=(2000, 64), kind="1e-4", spread=1.0, offset=100.0, copies="near", seed=0)
@example(shape=(2, 64), kind="sharp and wide", spread=3.0, offset=0.0, copies="none", seed=0)
@example(shape=(1000, 8), kind="sharp and wide", spread=1.0, offset=0.0, copies="equal", seed=1)
def test_every_term_is_that_of_the_dense_sum(random_posteriors, **mixture):
    random, mean, scale = random_posteriors(**mixture)
    codes, own = draw(random, 40, mean, scale)
    expected = dense(codes, own, mean, scale)
    measured = terms_of(codes, own, mean, scale)
    for name in MixtureTerms._fields:
        # 1e-4 nats, and float64's own rounding of log densities as low as -1e12.
        np.testing.assert_allclose(
            getattr(measured, name), getattr(expected, name), rtol=1e-14, atol=1e-4, err_msg=name
        )
    assert measured.information.min() > -1e-9
    assert measured.information.max() < math.log(len(mean)) + 1e-9


@pytest.mark.parametrize("count, codes", [(2048, 50), (2049, 50), (4097, 600)])
def test_tiles_and_blocks_leave_out_no_posterior_and_no_code(count, codes):
    """Own posteriors at both ends of every tile; tiles and blocks divide few of the counts."""
    random = np.random.default_rng(5)
    mean, scale = random.normal(size=(count, 3)), np.full((count, 3), 0.3)
    ends = [0, 1, 1023, 1024, 1025, 2047, count - 2, count - 1]
    own = np.array([*ends, *range(100, 92 + codes)]) % count
    z = mean[own] + scale[own] * random.normal(size=(codes, 3))
    expected = dense(z, own, mean, scale)
    for measured, truth in zip(terms_of(z, own, mean, scale), expected, strict=True):
        np.testing.assert_allclose(measured, truth, atol=2e-6)


def test_the_posterior_that_is_left_out_is_the_own_one():
    """Two posteriors: the mean over the others is the density of the other one."""
    mean, scale = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    terms = terms_of(np.array([[0.5], [0.5]]), np.array([0, 1]), mean, scale)
    densities = log_normal(np.array(0.5), mean[:, 0], scale[:, 0])
    np.testing.assert_allclose(terms.log_own, densities, rtol=1e-14)
    np.testing.assert_allclose(terms.log_others, densities[::-1], rtol=1e-14)
