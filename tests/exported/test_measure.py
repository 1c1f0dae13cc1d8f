"""What rd.measure says of exported posteriors, against quadrature and closed forms."""

import numpy as np
import pytest
from scipy import integrate, special, stats

import ratedistortion as rd

COLUMNS = ["rate", "mutual_information", "marginal_kl"]


def within(row, name, truth, sigmas=4.5):
    """Whether a number is its truth within its standard error."""
    return abs(row[name] - truth) <= sigmas * row[f"{name}_se"] + 1e-9


def normals(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# Means, scale, I(n;z), R, marginal KL and its part by moments, by quadrature.
QUADRATURE = [
    ([-1, 1], 1.0, 0.336831, 0.500000, 0.163169, 0.153426),
    ([-1, 1], 0.5, 0.632720, 0.818147, 0.185427, 0.013428),
    ([-1.5, -0.5, 0.5, 1.5], 0.5, 0.845233, 0.943147, 0.097914, 0.047267),
    (np.linspace(-2, 2, 16), 0.2, 1.719509, 1.884993, 0.165484, 0.056070),
]


@pytest.mark.parametrize("means, scale, information, rate, marginal, moments", QUADRATURE)
def test_one_latent_by_quadrature(means, scale, information, rate, marginal, moments):
    """Every posterior is there many times, which changes none of the truths."""
    mean = np.tile(np.reshape(means, (-1, 1)), (4096 // len(means), 1)).astype(float)
    (row,) = rd.measure(mean=mean, scale=np.full_like(mean, scale), prior="standard").to_dict(
        "records"
    )
    assert row["status"] == "ok" and row["information_kind"] == "exact"
    assert row["rate"] == pytest.approx(rate, abs=1e-6)
    assert row["marginal_kl_gaussian"] == pytest.approx(moments, abs=1e-6)
    assert within(row, "mutual_information", information) and within(row, "marginal_kl", marginal)
    assert abs(row["mutual_information"] - information) < 0.03


@pytest.mark.parametrize("kind", ["scale", "log_scale", "var", "log_var", "cholesky"])
def test_every_way_to_say_the_spread_gives_the_same_numbers(kind):
    mean, scale = normals((50, 3)), np.exp(normals((50, 3), 1) / 3)
    said = {
        "scale": scale,
        "log_scale": np.log(scale),
        "var": scale**2,
        "log_var": 2 * np.log(scale),
        "cholesky": scale[:, :, None] * np.eye(3),
    }
    first, other = (
        rd.measure(mean=mean, noise=normals((50, 3), 2), prior="standard", **spread)
        for spread in ({"scale": scale}, {kind: said[kind]})
    )
    for name in [*COLUMNS, "leave_one_out", "marginal_kl_gaussian", "population_information_upper"]:
        np.testing.assert_allclose(other[name], first[name], rtol=1e-6)


def full_covariance(count=400, latents=2):
    mean = 1.5 * normals((count, latents))
    factor = np.tril(0.4 * normals((count, latents, latents), 1))
    factor[:, range(latents), range(latents)] = 0.3 + np.abs(factor[:, range(latents)][:, :, 0])
    return mean, factor


def test_full_covariances_are_those_of_the_textbook():
    mean, factor = full_covariance()
    noise = normals(mean.shape, 3)
    (row,) = rd.measure(mean=mean, cholesky=factor, noise=noise, prior="standard").to_dict(
        "records"
    )
    covariance = factor @ factor.transpose(0, 2, 1)
    trace = np.trace(covariance, axis1=1, axis2=2) + (mean**2).sum(axis=1)
    rates = 0.5 * (trace - 2 - np.linalg.slogdet(covariance)[1])
    code = mean + np.einsum("nij,nj->ni", factor, noise)
    log_q = np.stack(
        [
            stats.multivariate_normal(m, c).logpdf(code)
            for m, c in zip(mean, covariance, strict=True)
        ],
        axis=1,
    )
    log_mixture = special.logsumexp(log_q, axis=1) - np.log(len(mean))
    share = special.softmax(log_q, axis=1)
    information = np.log(len(mean)) + special.xlogy(share, share).sum(axis=1)
    marginal = log_mixture - stats.norm.logpdf(code).sum(axis=1)
    assert row["rate"] == pytest.approx(rates.mean(), rel=1e-12)
    assert row["mutual_information"] == pytest.approx(information.mean(), rel=1e-6)
    assert row["marginal_kl"] == pytest.approx(rates.mean() + (marginal - rates).mean(), rel=1e-6)
    assert row["encoder"] == "full-covariance" and row["active_units"] == 2


def test_a_full_covariance_gaussian_whose_information_has_a_closed_form():
    """x ~ N(0, I) of many images, z = A x + noise: q(z) is nearly N(0, A A^T + C)."""
    images, latents = 6000, 2
    a = np.array([[1.0, 0.4], [0.0, 0.8]])
    factor = np.array([[0.6, 0.0], [0.3, 0.5]])
    mean = normals((images, latents)) @ a.T
    (row,) = rd.measure(
        mean=mean, cholesky=np.tile(factor, (images, 1, 1)), prior="standard", codes=1500
    ).to_dict("records")
    spread = np.cov(mean.T, bias=True) + factor @ factor.T
    information = 0.5 * (np.linalg.slogdet(spread)[1] - np.linalg.slogdet(factor @ factor.T)[1])
    centre = mean.mean(axis=0)
    marginal = 0.5 * (np.trace(spread) + centre @ centre - 2 - np.linalg.slogdet(spread)[1])
    assert abs(row["mutual_information"] - information) < 0.05
    assert abs(row["marginal_kl"] - marginal) < 0.05 and row["status"] == "ok"


def von_mises(kappa, images=60, codes=4000):
    """Posteriors on a circle around evenly spaced angles, with the uniform prior of the circle."""
    chance = np.random.default_rng(5)
    centres = np.linspace(0, 2 * np.pi, images, endpoint=False)
    own = np.arange(codes) % images
    angle = chance.vonmises(centres[own], kappa)
    log_q = stats.vonmises.logpdf(angle[:, None], kappa, loc=centres[None])
    return {"log_q": log_q, "own": own, "log_prior": np.full(codes, -np.log(2 * np.pi))}


@pytest.mark.parametrize("kappa", [0.5, 3.0, 50.0])
def test_von_mises_encoders_by_a_matrix_and_by_quadrature(kappa):
    """q(z) of evenly spaced posteriors is nearly uniform, so R = I = log 2 pi - h(von Mises)."""
    exported = von_mises(kappa)
    (row,) = rd.measure(exported).to_dict("records")
    density = stats.vonmises(kappa).pdf
    rate, _ = integrate.quad(lambda t: density(t) * np.log(2 * np.pi * density(t)), -np.pi, np.pi)

    def mixture(t):
        return np.mean(stats.vonmises.pdf(t, kappa, loc=2 * np.pi * np.arange(60) / 60))

    marginal, _ = integrate.quad(
        lambda t: mixture(t) * np.log(2 * np.pi * mixture(t)), -np.pi, np.pi, limit=200
    )
    assert within(row, "rate", rate) and within(row, "mutual_information", rate - marginal)
    assert within(row, "marginal_kl", marginal) and row["status"] == "ok"
    assert row["encoder"] == "matrix" and row["examples"] == 60 and row["codes"] == 4000


def test_a_matrix_of_gaussians_gives_what_their_means_and_scales_give():
    mean, scale, noise = normals((40, 2)), np.exp(normals((40, 2), 1) - 1), normals((40, 2), 2)
    code = mean + scale * noise
    log_q = stats.norm.logpdf(code[:, None], mean[None], scale[None]).sum(axis=2)
    log_prior = stats.norm.logpdf(code).sum(axis=1)
    distortion = 3 + normals(40, 3) ** 2
    matrix = rd.measure(log_q=log_q, own=np.arange(40), log_prior=log_prior, distortion=distortion)
    by_codes = rd.measure(
        mean=mean, scale=scale, noise=noise, log_prior=log_prior, distortion=distortion
    )
    for name in ["mutual_information", "mutual_information_se", "leave_one_out", "distortion"]:
        np.testing.assert_allclose(matrix[name], by_codes[name], rtol=1e-6)
    assert matrix["active_units"].isna().all()


def test_many_codes_of_few_images_are_as_many_terms_as_images():
    """25 codes of each of 40 images: the errors are those between images, and cover the truth."""
    found, truths = [], []
    for seed in range(30):
        mean, scale = 2 * normals((40, 3), seed), 0.3
        own = np.repeat(np.arange(40), 25)
        code = mean[own] + scale * normals((1000, 3), seed + 100)
        log_q = stats.norm.logpdf(code[:, None], mean[None], scale).sum(axis=2)
        log_prior = stats.norm.logpdf(code).sum(axis=1)
        (row,) = rd.measure(log_q=log_q, own=own, log_prior=log_prior).to_dict("records")
        found.append((row["rate"], row["rate_se"]))
        truths.append(0.5 * (4 * 3 + 3 * scale**2 - 3) - 3 * np.log(scale))
    rates, errors = np.transpose(found)
    assert rates.std() == pytest.approx(errors.mean(), rel=0.3)
    assert (abs(rates - truths) < 3 * errors).mean() > 0.9 and row["codes"] == 1000


def test_priors_that_are_learned():
    mean, scale, noise = normals((300, 2)), np.exp(normals((300, 2), 1) - 1), normals((300, 2), 2)
    arrays = {"mean": mean, "scale": scale, "noise": noise}
    centre, width = np.array([0.3, -0.2]), np.array([1.2, 0.7])
    (row,) = rd.measure(arrays, prior_mean=centre, prior_scale=width).to_dict("records")
    rates = ((mean - centre) ** 2 + scale**2) / (2 * width**2) - 0.5 - np.log(scale / width)
    assert row["rate"] == pytest.approx(rates.sum(axis=1).mean(), rel=1e-12)
    assert row["prior"] == "diagonal"
    # A mixture of one component is that Gaussian, but by codes.
    (mixed,) = rd.measure(
        arrays, prior_mean=centre[None], prior_scale=width[None], prior_weights=[1.0]
    ).to_dict("records")
    code = mean + scale * noise
    log_prior = stats.norm.logpdf(code, centre, width).sum(axis=1)
    (given,) = rd.measure(arrays, log_prior=log_prior).to_dict("records")
    assert (mixed["prior"], given["prior"]) == ("mixture", "given")
    for name in (*COLUMNS, "identity_residual"):
        assert mixed[name] == pytest.approx(given[name], rel=1e-9, abs=1e-12)
    assert mixed["mutual_information"] == pytest.approx(row["mutual_information"], rel=1e-12)
    assert within(mixed, "rate", row["rate"])


def test_distortions_from_reconstructions():
    chance = np.random.default_rng(0)
    arrays = {"mean": normals((20, 2)), "scale": np.ones((20, 2)), "prior": "standard"}
    data, probability = chance.integers(0, 2, (20, 3, 3)), chance.uniform(0.1, 0.9, (20, 3, 3))
    (row,) = rd.measure(
        arrays, data=data, reconstruction=probability, likelihood="bernoulli"
    ).to_dict("records")
    truth = -stats.bernoulli.logpmf(data, probability).sum(axis=(1, 2)).mean()
    assert row["distortion"] == pytest.approx(truth) and row["dimensions"] == 9
    assert row["negative_elbo"] == pytest.approx(truth + row["rate"])
    (row,) = rd.measure(
        arrays, data=data, reconstruction=probability, likelihood="gaussian", likelihood_scale=0.3
    ).to_dict("records")
    truth = -stats.norm.logpdf(data, probability, 0.3).sum(axis=(1, 2)).mean()
    assert row["distortion"] == pytest.approx(truth)
    assert row["distortion_mse"] == pytest.approx(((data - probability) ** 2).mean())
    assert row["likelihood_scale"] == 0.3


def test_without_a_distortion_there_is_no_suspicion():
    (row,) = rd.measure(mean=normals((20, 2)), scale=np.ones((20, 2)), prior="standard").to_dict(
        "records"
    )
    assert row["status"] == "ok" and np.isnan(row["distortion"]) and np.isnan(row["negative_elbo"])


def test_sharp_posteriors_lose_no_digit():
    """Of posteriors that do not overlap I(n;z) is log N, whatever their scales."""
    mean = normals((200, 4))
    (row,) = rd.measure(mean=mean, scale=np.full((200, 4), 1e-9), prior="standard").to_dict(
        "records"
    )
    assert row["mutual_information"] == pytest.approx(np.log(200), abs=1e-12)
    assert abs(row["identity_residual"]) < 5 * row["identity_residual_se"] and row["status"] == "ok"
