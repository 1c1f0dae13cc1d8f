"""What was exported, with every shape and number checked before anything is computed."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ratedistortion.exported.distortion import distortion_of
from ratedistortion.exported.draws import noise_of
from ratedistortion.exported.given import Given

_SCALES = ("scale", "log_scale", "var", "log_var", "cholesky")
_OF_POSTERIORS = ("mean", *_SCALES, "code", "noise", "chosen")
NAMES = (
    *(*_OF_POSTERIORS, "log_q", "own", "prior", "prior_mean", "prior_scale", "prior_weights"),
    *("log_prior", "rate", "distortion", "data", "reconstruction", "likelihood"),
    *("likelihood_scale", "flow", "beta", "target_rate", "seed", "split", "label", "dataset"),
    "dimensions",
)


class Prior(NamedTuple):
    """p(z): a Gaussian, a mixture of Gaussians, or known for the codes only.

    Attributes:
        mean: (components, latents); None where there is only `log_density`.
        scale: Of the same shape.
        weights: (components,), summing to 1; None for one Gaussian.
        log_density: log p(z) of every code, in nats.
    """

    # Typed as what JAX's functions of pytrees return.
    mean: Any = None
    scale: Any = None
    weights: Any = None
    log_density: Any = None

    @property
    def is_gaussian(self) -> bool:
        """Whether it is one Gaussian, with which R has a closed form."""
        return self.mean is not None and self.weights is None

    @property
    def name(self) -> str:
        """The word for the table."""
        if self.mean is None:
            return "given"
        if self.weights is not None:
            return "mixture"
        return "standard" if not self.mean.any() and (self.scale == 1).all() else "diagonal"


class Exported(NamedTuple):
    """Posteriors of N images with one code each, or a matrix of the log densities of codes.

    Attributes:
        where: What errors call it.
        mean: (N, latents); None for a matrix.
        scale: (N, latents), or Cholesky factors (N, latents, latents); None for a matrix.
        noise: (N, latents): code = mean + scale * noise; None where it is to be drawn.
        log_q: (codes, N), nats; None for Gaussian posteriors.
        own: (codes,): the image of each code of the matrix.
        chosen: The images whose codes are used; None where they are to be chosen.
        prior: Of the codes.
        rate: What the program itself says of every image, nats; None if nothing.
        distortion: (N,), nats; None where it is not known.
        least_distortion: The least that a distortion can be.
        distinct: How many images are different; None where that is not known.
        facts: For the columns of the table.
        notes: What is wrong with the numbers, though they can be computed with.
    """

    where: str
    mean: np.ndarray | None
    scale: np.ndarray | None
    noise: np.ndarray | None
    log_q: np.ndarray | None
    own: np.ndarray | None
    chosen: np.ndarray | None
    prior: Prior
    rate: np.ndarray | None
    distortion: np.ndarray | None
    least_distortion: float
    distinct: int | None
    facts: dict[str, Any]
    notes: list[str]

    @property
    def images(self) -> int:
        """N."""
        if self.log_q is not None:
            return self.log_q.shape[1]
        assert self.mean is not None
        return len(self.mean)

    def block(self, first: int, last: int) -> np.ndarray:
        """Rows of the matrix. Of a file they are read afresh: what is mapped counts as memory."""
        assert self.log_q is not None
        if isinstance(self.log_q, np.memmap) and self.log_q.filename:
            return np.load(self.log_q.filename, mmap_mode="r", allow_pickle=False)[first:last]
        return self.log_q[first:last]


def check(arrays: Mapping[str, Any], where: str) -> Exported:
    """Checks what was exported.

    Args:
        arrays: Name -> array; the guide of the command lists the names.
        where: What errors call it.

    Raises:
        SettingsError: If something is missing, of another shape than it should be, not finite, or
            said in two ways; the text names the image.
    """
    given = Given(dict(arrays), where)
    if given.has("flow"):
        given.refuse(
            "its posteriors are Gaussians that a flow moves: give a matrix log_q with own instead"
        )
    mean = scale = log_q = own = None
    if given.has("log_q"):
        if both := [name for name in _OF_POSTERIORS if given.has(name)]:
            given.refuse(f"give either log_q or {both[0]}, not both")
        log_q, own = _matrix(given)
        images, codes = log_q.shape[1], len(log_q)
    else:
        mean, scale = _gaussians(given)
        images = codes = len(mean)
    noise, notes = (None, []) if mean is None or scale is None else noise_of(given, mean, scale)
    prior = _prior(given, mean, codes, has_codes=log_q is not None or noise is not None)
    distortion = distortion_of(given, images)
    facts = _facts(given)
    facts["likelihood"] = given.text("likelihood") or ""
    scale_given = given.positive("likelihood_scale", ())
    if scale_given is not None and facts["likelihood"] != "gaussian":
        likelihood = facts["likelihood"] or "none"
        given.refuse(f"likelihood_scale is of the gaussian likelihood: got likelihood {likelihood}")
    facts["likelihood_scale"] = None if scale_given is None else float(scale_given)
    facts["dimensions"] = distortion.dimensions
    return Exported(
        where, mean, scale, noise, log_q, own, _chosen(given, images), prior,
        given.numbers("rate", (codes,)), distortion.values, distortion.least, distortion.distinct,
        facts, notes + distortion.notes,
    )  # fmt: skip


def _gaussians(given: Given) -> tuple[np.ndarray, np.ndarray]:
    mean = given.numbers("mean", (None, None))
    named = [name for name in _SCALES if given.has(name)]
    if mean is None or len(named) != 1:
        given.refuse(
            f"expected mean and one of {', '.join(_SCALES)}, or log_q and own: got {given.names()}"
        )
    (name,), (images, latents) = named, mean.shape
    if images < 2:
        given.refuse(f"expected at least 2 images: got {images}")
    if name == "cholesky":
        scale = given.numbers(name, (images, latents, latents))
        assert scale is not None
        diagonal = np.diagonal(scale, axis1=1, axis2=2)
        given.first_wrong("the diagonal of cholesky", diagonal <= 0, diagonal, "above 0")
        above = np.triu(scale, 1)
        given.first_wrong("cholesky above its diagonal", above != 0, above, "0")
        return mean, scale
    if name in ("scale", "var"):
        scale = given.positive(name, mean.shape)
        assert scale is not None
        return mean, np.sqrt(scale) if name == "var" else scale
    logs = given.numbers(name, mean.shape)
    assert logs is not None
    with np.errstate(over="ignore"):
        scale = np.exp(logs / 2 if name == "log_var" else logs)
    given.first_wrong(name, ~((scale > 0) & np.isfinite(scale)), logs, "the log of a finite number")
    return mean, scale


def _matrix(given: Given) -> tuple[np.ndarray, np.ndarray]:
    log_q, own = given.raw("log_q"), given.numbers("own", (None,))
    floats = jnp.issubdtype(np.asarray(log_q).dtype, np.floating)
    if np.ndim(log_q) != 2 or not floats or min(log_q.shape) < 2:
        shape = " x ".join(f"{n:,}" for n in np.shape(log_q))
        given.refuse(
            "log_q must be a matrix of log densities, at least 2 codes x 2 images of floats: got"
            f" {shape} of {np.asarray(log_q).dtype}"
        )
    if own is None:
        given.refuse("log_q needs own, the image of each code: got " + given.names())
    codes, images = log_q.shape
    if len(own) != codes:
        given.refuse(f"own must have one image for each of {codes:,} codes: got {len(own):,}")
    given.first_wrong("own", (own != np.round(own)) | (own < 0) | (own >= images), own,
                      f"one of the images 0 to {images - 1}")  # fmt: skip
    # The entries are checked where they are read: to read one of a file is to read its neighbours.
    return log_q, own.astype(np.int64)


def _prior(given: Given, mean: np.ndarray | None, codes: int, has_codes: bool) -> Prior:
    latents = None if mean is None else mean.shape[1]
    named, word = [n for n in ("prior_mean", "log_prior") if given.has(n)], given.text("prior")
    if word not in (None, "standard"):
        given.refuse(f"prior must be standard, or arrays must say it: got {word!r}")
    if (word is not None) + len(named) != 1:
        got = ", ".join([*named, *(["prior"] if word else [])]) or "none of them"
        given.refuse(
            "expected one of prior standard (--prior standard), prior_mean with prior_scale, or"
            f" log_prior of every code: got {got}"
        )
    parts = [name for name in ("prior_scale", "prior_weights") if given.has(name)]
    if parts and "prior_mean" not in named:
        given.refuse(f"{parts[0]} needs prior_mean, and no other prior: got {named or ['prior']}")
    if "log_prior" in named:
        if not has_codes:
            given.refuse("log_prior is of codes: give code, noise or both as well")
        return Prior(log_density=given.numbers("log_prior", (codes,)))
    if latents is None:
        given.refuse("a matrix log_q needs log_prior, the log density of every code")
    if word:
        return Prior(np.zeros((1, latents)), np.ones((1, latents)))
    weights = given.positive("prior_weights", (None,))
    shape = (latents,) if weights is None else (len(weights), latents)
    if weights is not None and abs(weights.sum() - 1) > 1e-6:
        given.refuse(f"prior_weights must sum to 1: got {weights.sum():.9g}")
    mean, scale = given.numbers("prior_mean", shape), given.positive("prior_scale", shape)
    if scale is None:
        given.refuse("prior_mean needs prior_scale, the standard deviations")
    assert mean is not None and scale is not None
    return Prior(mean.reshape(-1, latents), scale.reshape(-1, latents), weights)


def _chosen(given: Given, images: int) -> np.ndarray | None:
    chosen = given.numbers("chosen", (None,))
    if chosen is None:
        return None
    whole = (chosen == np.round(chosen)) & (chosen >= 0) & (chosen < images)
    given.first_wrong("chosen", ~whole, chosen, f"one of the images 0 to {images - 1}")
    if len(set(chosen.tolist())) < len(chosen):
        given.refuse("chosen has an image twice")
    return chosen.astype(np.int64)


def _facts(given: Given) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "label": given.text("label"),
        "dataset": given.text("dataset") or "",
        "split": given.text("split") or "test",
    }
    if facts["split"] not in ("train", "test"):
        given.refuse(f"split must be train or test: got {facts['split']!r}")
    for name, least in (("beta", 0.0), ("target_rate", 0.0), ("seed", 0.0)):
        text = given.text(name)
        try:
            value = None if text is None else float(text)
        except ValueError:
            value = math.nan
        most = 1 << 53
        if value is not None and not (math.isfinite(value) and least <= value < most):
            given.refuse(f"{name} must be a number of at least 0, below 2^53: got {text!r}")
        facts[name] = value
    if (facts["seed"] or 0) % 1:
        given.refuse(f"seed must be a whole number: got {facts['seed']:g}")
    return facts
