"""Estimators against quadrature, closed forms and a dense float64 oracle in NumPy and SciPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from ratedistortion import estimators
from ratedistortion.estimators import Estimate, MixtureTerms, Posteriors, mixture

mixture_terms = jax.jit(estimators.mixture_terms)
upper_bound = jax.jit(estimators.pairwise_kl_upper_bound)
lower_bound = jax.jit(estimators.bhattacharyya_lower_bound)
marginal_kl_gaussian = jax.jit(estimators.marginal_kl_gaussian)
estimate = jax.jit(estimators.estimate)

SIGMAS = 4.0  # one false alarm in 16,000 for each comparison, and the draws are fixed


@pytest.fixture(autouse=True, scope="module")
def float64():
    with jax.enable_x64(True):
        yield


def posteriors_of(mean: np.ndarray, scale: np.ndarray) -> Posteriors:
    return Posteriors(jnp.asarray(mean), jnp.asarray(scale))


def terms_of(codes: np.ndarray, own: np.ndarray, mean: np.ndarray, scale: np.ndarray):
    """The estimator's terms, as NumPy arrays."""
    noise = (codes - mean[own]) / scale[own]
    terms = mixture_terms(jnp.asarray(noise), jnp.asarray(own), posteriors_of(mean, scale))
    assert all(term.dtype == jnp.float64 for term in terms)
    return MixtureTerms(*map(np.asarray, terms))


def draw(random: np.random.Generator, count: int, mean: np.ndarray, scale: np.ndarray):
    own = random.integers(0, len(mean), count)
    return mean[own] + scale[own] * random.normal(size=(count, mean.shape[1])), own


# --- One latent: truths by quadrature ---------------------------------------------------------

# Means, common scale; I(n;z), R, KL(q(z) || p(z)) and the KL of the matched Gaussian, in nats.
MIXTURES = {
    "two, scale 1": ((-1.0, 1.0), 1.0, 0.336831, 0.500000, 0.163169, 0.153426),
    "two, scale .5": ((-1.0, 1.0), 0.5, 0.632720, 0.818147, 0.185427, 0.013428),
    "four": ((-1.5, -0.5, 0.5, 1.5), 0.5, 0.845233, 0.943147, 0.097914, 0.047267),
    "sixteen": (tuple(np.linspace(-2, 2, 16)), 0.2, 1.719509, 1.884993, 0.165484, 0.056070),
}
mixtures = pytest.mark.parametrize("name", MIXTURES)


def columns(name: str) -> tuple[np.ndarray, np.ndarray]:
    means, scale = np.array(MIXTURES[name][0])[:, None], MIXTURES[name][1]
    return means, np.full(means.shape, scale)


def log_normal(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return -0.5 * ((x - mean) / scale) ** 2 - np.log(scale) - 0.5 * math.log(2 * math.pi)


@mixtures
def test_the_truths_are_those_of_quadrature(name):
    """A trapezoid rule, which on analytic functions that vanish at both ends is exact."""
    mean, scale = columns(name)
    _, _, information, rate, marginal, matched = MIXTURES[name]
    z = np.linspace(-7, 7, 20_001)
    log_q = log_normal(z, mean, scale)
    q = np.exp(log_q).mean(0)
    ratio = np.log(q) - log_normal(z, np.array(0.0), np.array(1.0))
    assert np.trapezoid(q * ratio, z) == pytest.approx(marginal, abs=1e-6)
    terms = np.trapezoid(np.exp(log_q) * (log_q - np.log(q)), z, axis=1)
    assert terms.mean() == pytest.approx(information, abs=1e-6)
    assert 0.5 * np.mean(mean**2 + scale**2 - 1 - 2 * np.log(scale)) == pytest.approx(
        rate, abs=1e-6
    )
    variance = np.mean(mean**2 + scale**2)
    assert 0.5 * (variance - 1 - math.log(variance)) == pytest.approx(matched, abs=1e-6)


@mixtures
def test_information_and_marginal_kl_are_those_of_quadrature(name):
    mean, scale = columns(name)
    _, _, information, rate, marginal, _ = MIXTURES[name]
    codes, own = draw(np.random.default_rng(1), 20_000, mean, scale)
    terms = terms_of(codes, own, mean, scale)
    log_prior = log_normal(codes[:, 0], np.array(0.0), np.array(1.0))
    for measured, truth in (
        (estimate(jnp.asarray(terms.information)), information),
        (estimate(jnp.asarray(terms.log_mixture - log_prior)), marginal),
        # The same information from the difference of log densities, and R from both.
        (estimate(jnp.asarray(terms.log_own - terms.log_mixture)), information),
        (estimate(jnp.asarray(terms.information + terms.log_mixture - log_prior)), rate),
    ):
        assert abs(measured.value - truth) < SIGMAS * measured.standard_error
        assert measured.standard_error < 0.02


@mixtures
def test_the_entropy_form_is_the_less_noisy(name):
    mean, scale = columns(name)
    codes, own = draw(np.random.default_rng(1), 20_000, mean, scale)
    terms = terms_of(codes, own, mean, scale)
    assert np.std(terms.information) < np.std(terms.log_own - terms.log_mixture)


@mixtures
def test_the_moments_bound_the_marginal_kl(name):
    *_, marginal, matched = MIXTURES[name]
    measured = marginal_kl_gaussian(posteriors_of(*columns(name)))
    assert float(measured) == pytest.approx(matched, abs=1e-6)
    assert measured <= marginal


@mixtures
def test_the_pairwise_bounds_bracket_the_truth(name):
    mean, scale = columns(name)
    rows = jnp.arange(len(mean))
    lower = lower_bound(rows, posteriors_of(mean, scale))
    upper = upper_bound(rows, posteriors_of(mean, scale))
    # Over all rows neither has a sampling error.
    assert 0 < lower.value <= MIXTURES[name][2] <= upper.value < math.log(len(mean))


# --- Exact cases ------------------------------------------------------------------------------


@pytest.mark.parametrize("count, latents", [(2, 1), (2049, 3), (100, 64)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 10.0])
def test_equal_posteriors_say_nothing(count, latents, scale):
    random = np.random.default_rng(2)
    mean = np.tile(100 + random.normal(size=(1, latents)), (count, 1))
    scales = np.tile(scale * np.exp(0.1 * random.normal(size=(1, latents))), (count, 1))
    codes, own = draw(random, 50, mean, scales)
    terms = terms_of(codes, own, mean, scales)
    assert abs(terms.information).max() < 1e-13


@pytest.mark.parametrize("count, latents", [(2, 1), (2049, 3), (100, 64)])
def test_posteriors_that_do_not_overlap_say_exactly_log_n(count, latents):
    mean = np.tile(100.0 * np.arange(count)[:, None], (1, latents))
    scale = np.full(mean.shape, 0.5)
    codes, own = draw(np.random.default_rng(3), 50, mean, scale)
    terms = terms_of(codes, own, mean, scale)
    assert set(terms.information.tolist()) == {math.log(count)}


@pytest.mark.parametrize("count, limit", [(60_000, 11.0021), (50_000, 10.8198), (10_000, 9.2103)])
def test_the_most_that_so_many_images_can_say(count, limit):
    """log N, to four decimals: what it is for codes that any image can be told from."""
    mean = np.arange(count, dtype=float)[:, None]
    scale = np.full(mean.shape, 1e-3)
    codes, own = draw(np.random.default_rng(3), 20, mean, scale)
    value, error = estimate(jnp.asarray(terms_of(codes, own, mean, scale).information))
    assert float(value) == pytest.approx(limit, abs=5e-5) and float(error) < 1e-12


@pytest.mark.parametrize("gap, information", [(0.0, 0.0), (100.0, math.log(300))])
def test_bounds_of_equal_and_of_disjoint_posteriors(gap, information):
    mean = 3 + np.tile(gap * np.arange(300)[:, None], (1, 4))
    for bound in (lower_bound, upper_bound):
        value, error = bound(jnp.arange(40), posteriors_of(mean, np.full(mean.shape, 0.7)))
        assert float(value) == pytest.approx(information, abs=1e-6)
        assert -1e-6 < value < math.log(300) + 1e-6 and 0 <= error < 1e-6


@pytest.mark.parametrize("count, latents", [(300, 1), (2049, 16)])
def test_other_codes_change_the_terms_of_a_code_by_rounding_only(count, latents):
    random = np.random.default_rng(4)
    mean = random.normal(size=(count, latents))
    scale = np.exp(random.normal(size=mean.shape) - 1)
    codes, own = draw(random, 300, mean, scale)
    whole = terms_of(codes, own, mean, scale)
    for size in (1, 256):
        for start in (0, 300 - size):
            part = slice(start, start + size)
            for some, all_terms in zip(
                terms_of(codes[part], own[part], mean, scale), whole, strict=True
            ):
                np.testing.assert_allclose(some, all_terms[part], rtol=1e-5, atol=1e-6)


# --- What other tools get wrong ---------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 25, 300, 600])
def test_blocks_of_codes_that_divide_n_move_nothing_but_rounding(size):
    """One code an image, as the measurement has it, a block of images at a time."""
    random = np.random.default_rng(9)
    mean, scale = random.normal(size=(600, 2)), np.full((600, 2), 0.3)
    codes, own = mean + scale * random.normal(size=mean.shape), np.arange(600)

    def in_blocks(size: int) -> tuple[float, float]:
        parts = [slice(start, start + size) for start in range(0, 600, size)]
        blocks = [terms_of(codes[part], own[part], mean, scale).information for part in parts]
        value, error = estimate(jnp.asarray(np.concatenate(blocks)))
        return float(value), float(error)

    assert in_blocks(size) == pytest.approx(in_blocks(150), abs=1e-6)


@pytest.mark.parametrize("codes, posteriors", [(1, 2048), (100, 300), (600, 1200), (256, 7)])
def test_the_widths_of_tiles_are_below_any_standard_error(monkeypatch, codes, posteriors):
    """They are constants: sums of float32 shares in another order differ in the last digit."""
    random = np.random.default_rng(10)
    mean, scale = random.normal(size=(1200, 2)), np.full((1200, 2), 0.3)
    z, own = draw(random, 600, mean, scale)
    expected = terms_of(z, own, mean, scale)
    monkeypatch.setattr(mixture, "_CODES", codes)
    monkeypatch.setattr(mixture, "_POSTERIORS", posteriors)
    measured = jax.jit(lambda *rest: estimators.mixture_terms(*rest))(
        jnp.asarray((z - mean[own]) / scale[own]), jnp.asarray(own), posteriors_of(mean, scale)
    )
    for one, other in zip(measured, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_every_posterior_has_the_same_weight_wherever_it_stands():
    """beta-tcvae's stratified weights stride down a column, so that they follow the order."""
    random = np.random.default_rng(11)
    mean = random.normal(size=(2049, 2))
    scale = np.exp(random.normal(size=mean.shape) - 1)
    codes, own = draw(random, 100, mean, scale)
    order = random.permutation(2049)
    place = np.argsort(order)
    shuffled = terms_of(codes, place[own], mean[order], scale[order])
    for one, other in zip(terms_of(codes, own, mean, scale), shuffled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_collapsed_encoder_has_no_log_n():
    """Minibatch weighted sampling says log N: q(z) is a batch's sum over N times its size."""
    mean, scale = np.zeros((5000, 2)), np.ones((5000, 2))
    codes, own = draw(np.random.default_rng(12), 64, mean, scale)
    log_q = log_normal(codes[:, None], mean[own], scale[own]).sum(-1)
    log_batch = logsumexp(log_q, axis=1) - math.log(5000 * 64)
    assert np.mean(np.diag(log_q) - log_batch) == pytest.approx(8.52, abs=0.005)
    terms = terms_of(codes, own, mean, scale)
    assert tuple(map(float, estimate(jnp.asarray(terms.information)))) == (0.0, 0.0)


def test_a_collapsed_encoder_is_never_negative():
    """An entropy in closed form minus a sampled log q(z) is: sd .67 with d = 32 and 32 images."""
    mean, scale = np.zeros((32, 32)), np.ones((32, 32))
    random, others = np.random.default_rng(13), []
    for _ in range(200):
        codes = random.normal(size=(32, 32))
        log_q = log_normal(codes[:, None], mean, scale).sum(-1)
        entropy = 16 * math.log(2 * math.pi * math.e)
        others.append(np.mean(-logsumexp(log_q, axis=1)) + math.log(32) - entropy)
        terms = terms_of(codes, np.arange(32), mean, scale)
        assert abs(terms.information).max() < 1e-13
    assert np.std(others) == pytest.approx(0.67, abs=0.1) and np.min(others) < -1


def test_a_batch_of_codes_has_the_information_of_the_encoder_not_the_log_of_its_size():
    """MR-VAE's is 4.15 for a collapsed and 4.13 for an informative encoder: log 64 is 4.16."""
    random = np.random.default_rng(14)
    for name in MIXTURES:
        mean, scale = (np.resize(part, (1600, 1)) for part in columns(name))
        for size in (64, 1024):
            terms = terms_of(*draw(random, size, mean, scale), mean, scale)
            value, error = estimate(jnp.asarray(terms.information))
            assert abs(value - MIXTURES[name][2]) < SIGMAS * error
            assert value < 2 < math.log(64)


@pytest.mark.parametrize("latents, scale", [(1, 0.1), (8, 1.0), (32, 2.0), (64, 1.0)])
def test_both_forms_of_the_information_agree_and_the_entropy_form_is_the_surer(latents, scale):
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


# --- A dense oracle ---------------------------------------------------------------------------


def oracle(codes: np.ndarray, own: np.ndarray, mean: np.ndarray, scale: np.ndarray):
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


def scales_of(kind: str, random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    if kind == "sharp and wide":  # in one mixture
        return np.where(random.random((shape[0], 1)) < 0.5, 1e-4, 10.0) * np.ones(shape)
    if kind == "any":
        return 10 ** random.uniform(-4, 1, shape)
    return np.full(shape, float(kind))


def random_posteriors(
    count: int, latents: int, kind: str, spread: float, offset: float, copies: str, seed: int
) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Posteriors of a random mixture, and the generator that goes on from there."""
    random = np.random.default_rng(seed)
    mean = offset + spread * random.normal(size=(count, latents))
    scale = scales_of(kind, random, mean.shape)
    if copies != "none":  # pairs of images whose posteriors overlap, however sharp they are
        pairs = slice(0, count // 2 * 2, 2)
        apart = 0.0 if copies == "equal" else random.uniform(1, 4) / math.sqrt(latents)
        scale[1::2] = scale[pairs]
        mean[1::2] = mean[pairs] + apart * scale[pairs]
    return random, mean, scale


def random_mixtures(**others):
    """Hypothesis over sigma from 1e-4 to 10, d from 1 to 64 and N from 2 to 2,000.

    Sizes are few, as each of them is compiled; everything else is free.
    """
    common = {
        "count": st.sampled_from([2, 3, 10, 100, 1000, 2000]),
        "latents": st.sampled_from([1, 2, 8, 64]),
        "kind": st.sampled_from(["1e-4", "1e-2", "1", "10", "any", "sharp and wide"]),
        "spread": st.sampled_from([0.1, 1.0, 3.0]),
        "offset": st.sampled_from([0.0, 100.0]),
        "copies": st.sampled_from(["none", "equal", "near"]),
        "seed": st.integers(0, 1000),
    }
    return given(**{**common, **others})


def tries(count: int):
    return settings(derandomize=True, deadline=None, database=None, max_examples=count)


@tries(9)
@random_mixtures()
@example(count=2000, latents=64, kind="1e-4", spread=1.0, offset=100.0, copies="near", seed=0)
@example(count=2, latents=64, kind="sharp and wide", spread=3.0, offset=0.0, copies="none", seed=0)
@example(
    count=1000, latents=8, kind="sharp and wide", spread=1.0, offset=0.0, copies="equal", seed=1
)
def test_every_term_is_the_dense_oracle_s(count, latents, kind, spread, offset, copies, seed):
    random, mean, scale = random_posteriors(count, latents, kind, spread, offset, copies, seed)
    codes, own = draw(random, 40, mean, scale)
    expected = oracle(codes, own, mean, scale)
    measured = terms_of(codes, own, mean, scale)
    for name in MixtureTerms._fields:
        # 1e-4 nats, and float64's own rounding of log densities as low as -1e12.
        np.testing.assert_allclose(
            getattr(measured, name), getattr(expected, name), rtol=1e-14, atol=1e-4, err_msg=name
        )
    assert measured.information.min() > -1e-9
    assert measured.information.max() < math.log(count) + 1e-9


@pytest.mark.parametrize("count", [2048, 2049, 4097])
def test_tiles_leave_nobody_out(count):
    """Own posteriors at both ends of every tile, and numbers of them that tiles do not divide."""
    random = np.random.default_rng(5)
    mean, scale = random.normal(size=(count, 3)), np.full((count, 3), 0.3)
    own = np.array([0, 1, 1023, 1024, 1025, 2047, count - 2, count - 1, *range(100, 142)])
    codes = mean[own] + scale[own] * random.normal(size=(len(own), 3))
    expected = oracle(codes, own, mean, scale)
    for measured, truth in zip(terms_of(codes, own, mean, scale), expected, strict=True):
        np.testing.assert_allclose(measured, truth, atol=2e-6)


def test_the_posterior_that_is_left_out_is_the_own_one():
    """Two posteriors: the mean over the others is the density of the other one."""
    mean, scale = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    terms = terms_of(np.array([[0.5], [0.5]]), np.array([0, 1]), mean, scale)
    densities = log_normal(np.array(0.5), mean[:, 0], scale[:, 0])
    np.testing.assert_allclose(terms.log_own, densities, rtol=1e-14)
    np.testing.assert_allclose(terms.log_others, densities[::-1], rtol=1e-14)


# --- Bounds -----------------------------------------------------------------------------------


def pairwise(
    mean: np.ndarray, scale: np.ndarray, rows: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """KL and Bhattacharyya distance of rows to all, from their textbook formulas."""
    distances = []
    for own_mean, own_scale in zip(mean[rows], scale[rows], strict=True):
        gap, own, other = (own_mean - mean) ** 2, own_scale**2, scale**2
        kl = 0.5 * (own / other + gap / other - 1 + np.log(other / own)).sum(-1)
        middle = (own + other) / 2
        ratio = np.log(middle) - np.log(own_scale) - np.log(scale)
        distances.append((kl, (gap / (8 * middle) + 0.5 * ratio).sum(-1)))
    return tuple(np.array(part) for part in zip(*distances, strict=True))


def bound_of(distance: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Terms of the bound that distances (rows, all) make, their mean and its standard error."""
    terms = math.log(distance.shape[1]) - logsumexp(-distance, axis=1)
    return terms, terms.mean(), terms.std(ddof=1) / math.sqrt(len(terms))


def check_bounds(count, latents, kind, spread, offset, copies, seed):
    random, mean, scale = random_posteriors(count, latents, kind, spread, offset, copies, seed)
    rows = random.permutation(count)[:40]
    distances = pairwise(mean, scale, rows)
    for bound, distance in zip((upper_bound, lower_bound), distances, strict=True):
        _, expected, expected_error = bound_of(distance)
        value, error = map(float, bound(jnp.asarray(rows), posteriors_of(mean, scale)))
        assert value == pytest.approx(expected, abs=1e-4)
        assert error == pytest.approx(expected_error, abs=1e-4)
        assert -1e-4 < value < math.log(count) + 1e-12


@tries(9)
@random_mixtures(count=st.sampled_from([2, 10, 1000, 2000]), latents=st.sampled_from([1, 8, 64]))
@example(count=2000, latents=64, kind="1e-4", spread=1, offset=100, copies="equal", seed=0)
@example(count=2000, latents=64, kind="sharp and wide", spread=3, offset=0, copies="none", seed=0)
@example(count=1000, latents=8, kind="any", spread=0.1, offset=100, copies="equal", seed=1)
def test_both_pairwise_bounds_are_the_dense_oracle_s(
    count, latents, kind, spread, offset, copies, seed
):
    check_bounds(count, latents, kind, spread, offset, copies, seed)


def test_both_pairwise_bounds_are_the_dense_oracle_s_for_sharp_neighbours():
    for seed in range(20):
        check_bounds(10, 1, "1e-4", 3.0, 0.0, "near", seed)


@pytest.mark.parametrize("kind", ["1e-2", "0.3", "1", "sharp and wide", "any"])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_pairwise_bounds_are_the_dense_oracle_s(kind, offset):
    random = np.random.default_rng(6)
    mean = offset + random.normal(size=(300, 4))
    mean[1::2] = mean[::2] + 0.01 * random.normal(size=(150, 4))
    scale = scales_of(kind, random, mean.shape)
    rows = random.permutation(300)[:40]
    for bound, distance in zip(
        (upper_bound, lower_bound), pairwise(mean, scale, rows), strict=True
    ):
        terms, *_ = bound_of(distance)
        value, error = bound(jnp.asarray(rows), posteriors_of(mean, scale))
        # The lower bound keeps its means in float32.
        assert float(value) == pytest.approx(terms.mean(), abs=2e-5)
        assert float(error) == pytest.approx(terms.std(ddof=1) / math.sqrt(40), abs=2e-5)


def test_bounds_do_not_depend_on_the_tiles():
    random = np.random.default_rng(7)
    mean, scale = random.normal(size=(2049, 2)), np.full((2049, 2), 0.3)
    rows = np.array([0, 1024, 1025, 2048])
    for bound, distance in zip(
        (upper_bound, lower_bound), pairwise(mean, scale, rows), strict=True
    ):
        terms, *_ = bound_of(distance)
        value = bound(jnp.asarray(rows), posteriors_of(mean, scale)).value
        assert float(value) == pytest.approx(terms.mean(), abs=2e-5)


@tries(25)
@random_mixtures()
@example(count=2, latents=64, kind="1e-4", spread=3.0, offset=100.0, copies="none", seed=0)
@example(count=2000, latents=64, kind="any", spread=3.0, offset=100.0, copies="near", seed=0)
def test_the_matched_gaussian_is_the_dense_oracle_s(
    count, latents, kind, spread, offset, copies, seed
):
    """From singular values of the data: no covariance is formed, so they keep all digits."""
    _, mean, scale = random_posteriors(count, latents, kind, spread, offset, copies, seed)
    middle = mean.mean(0)
    root = np.vstack(
        [(mean - middle) / math.sqrt(count), np.diag(np.sqrt(np.mean(scale**2, axis=0)))]
    )
    deviation = np.linalg.svd(root, compute_uv=False)
    expected = 0.5 * (middle @ middle + np.sum(deviation**2 - 1 - 2 * np.log(deviation)))
    measured = float(marginal_kl_gaussian(posteriors_of(mean, scale)))
    assert measured == pytest.approx(expected, rel=1e-14, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 0.5, 1.0])
def test_the_matched_gaussian_is_that_of_the_direct_formula(scale):
    """With NumPy's covariance, trace and log determinant."""
    random = np.random.default_rng(8)
    mean = random.normal(size=(500, 6)) @ random.normal(size=(6, 6)) + random.normal(size=6)
    scales = scale * np.exp(random.normal(size=mean.shape))
    covariance = np.cov(mean.T, bias=True) + np.diag(np.mean(scales**2, axis=0))
    middle = mean.mean(0)
    direct = 0.5 * (
        np.trace(covariance) + middle @ middle - 6 - np.linalg.slogdet(covariance).logabsdet
    )
    measured = float(marginal_kl_gaussian(posteriors_of(mean, scales)))
    assert measured == pytest.approx(direct, rel=1e-10)


def test_the_prior_itself_has_no_marginal_kl():
    value = marginal_kl_gaussian(posteriors_of(np.zeros((50, 3)), np.ones((50, 3))))
    assert float(value) == 0


# --- Means and their errors -------------------------------------------------------------------


def test_an_estimate_is_a_mean_and_its_standard_error():
    terms = np.array([1.0, 2.0, 4.0, 9.0])
    value, error = estimate(jnp.asarray(terms))
    assert float(value) == 4.0
    assert float(error) == pytest.approx(np.std(terms, ddof=1) / 2, rel=1e-15)


def test_one_term_has_no_standard_error():
    value, error = Estimate(*map(float, estimate(jnp.array([3.0]))))
    assert value == 3.0 and math.isnan(error)
