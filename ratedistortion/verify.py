"""What a user runs first on a new machine: every number of a sweep against a truth from outside."""

import math
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion import api, datasets, estimators, recompute
from ratedistortion.devices import find_devices
from ratedistortion.engine import Engine, Measured
from ratedistortion.information import terms_of_bounds
from ratedistortion.measure import Codes
from ratedistortion.outcomes import loss_curves, outcomes
from ratedistortion.plan import all_runs, make_plan
from ratedistortion.rows import row
from ratedistortion.settings import Settings
from ratedistortion.theory import linear_gaussian_optimum
from ratedistortion.train import TrainState, selected
from ratedistortion.units import per_nat

_VARIANCES, _SCALE = (4.0, 1.0, 0.25), math.sqrt(0.2)
_BETAS = (0.5, 0.7, 1.0, 1.4, 2.0)
# One latent: the means and the common standard deviation of equally weighted posteriors.
_MIXTURES = (((-1.0, 1.0), 1.0), ((-1.0, 1.0), 0.5), ((-1.5, -0.5, 0.5, 1.5), 0.5))
_CODES = 40_000
# What the same number may differ by between float32 in the engine and float64 in NumPy: as a
# share of it, and in nats.
_SHARE, _NATS = 2e-5, 2e-4
# Every likelihood and every prior once, in both batchings, with posteriors from wide to sharp, a
# number of images that tiles of 2,048 posteriors do not divide, and codes of some images only.
_MANY = {"dataset": "patterns:8,64,0.1", "max_examples": 2049, "codes": 300}
_MODELS: tuple[dict[str, Any], ...] = (
    {**_MANY, "prior": "standard", "likelihood": "bernoulli", "batching": "map"},
    {
        "dataset": "gaussian:9,4,1,1",
        "prior": "diagonal",
        "likelihood": "gaussian",
        "batching": "vmap",
    },
    {"prior": "mixture", "likelihood": "discretized-logistic", "batching": "map"},
    {"prior": "vamp", "likelihood": "categorical", "batching": "vmap"},
    {"prior": "maf", "likelihood": "bernoulli", "binarize": "threshold", "batching": "map"},
)
_GAINS = (2.0, 2.5, 2.0, 1.0, 2.5)
_TINY = {"steps": 24, "hidden": (16,), "latents": 4, "precision": "highest", "binarize": "dynamic"}
# D and R at every sixth of its steps, in nats per image, as JAX 0.10.2 and 0.11.0 have them.
_TRAJECTORY = ((45.62167, 0.70734), (44.11021, 0.82417), (44.33805, 0.80789), (44.18409, 0.76515))


class Check(NamedTuple):
    """One quantity held against its truth: it passes if |measured - truth| <= tolerance."""

    quantity: str
    truth: float
    measured: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; a nan never is."""
        return abs(self.measured - self.truth) <= self.tolerance


def environment() -> str:
    """One line that names the program, its libraries and the devices that `verify` runs on."""
    names = ("ratedistortion", "jax", "jaxlib", "flax", "optax", "numpy")
    versions = [f"{name} {metadata.version(name)}" for name in names]
    devices = find_devices(Settings())
    return (
        f"{', '.join(versions)}, Python {platform.python_version()},"
        f" {len(devices)} x {devices[0].device_kind}"
    )


def verify(report: Callable[[Mapping[str, Any]], None] = lambda event: None) -> Iterator[Check]:
    """Checks every number that a sweep writes, on the devices and through the programs of sweeps.

    What the engine measures of models with every prior and likelihood is computed once more in
    NumPy; the estimators are held against quadrature over mixtures of one latent; a training of a
    few steps against a stored one; and a sweep against the linear model of a Gaussian source,
    whose optimum is a closed form. Tolerances of estimates are 4 standard errors, and for what is
    trained 1% more; the marginal KL, 0 at the optimum, may be 0.01, as a finite number of images
    leaves some.

    Args:
        report: Told of the sweep's events.

    Yields:
        The checks, the quickest first, in nats but for slopes and units.
    """
    find_devices(Settings())  # a CPU counts as many devices, if JAX is told before it starts
    yield from _units()
    yield from _estimators()
    yield from _recomputed()
    yield from _training()
    yield from _sweep(report)


def _units() -> list[Check]:
    return [
        Check("1 nat in bits", 1 / math.log(2), per_nat("bits", 8), 1e-12),
        Check(
            "8 nats of 8 pixels, bits-per-dim",
            1 / math.log(2),
            8 * per_nat("bits-per-dim", 8),
            1e-12,
        ),
    ]


def _estimators() -> list[Check]:
    checks = []
    for means, scale in _MIXTURES:
        information, marginal = _quadrature(np.array(means), scale)
        with jax.enable_x64(True):
            own = jnp.arange(_CODES) % len(means)
            posteriors = estimators.Posteriors(
                jnp.array(means)[:, None], jnp.full((len(means), 1), scale, jnp.float64)
            )
            noise = jax.random.normal(jax.random.key(0), (_CODES, 1), jnp.float64)
            codes = posteriors.mean[own] + scale * noise
            terms = estimators.mixture_terms(noise, own, posteriors)
            log_prior = -0.5 * (codes[:, 0] ** 2 + math.log(2 * math.pi))
            measured = {
                "I(n;z)": (information, estimators.estimate(terms.information)),
                "marginal KL": (marginal, estimators.estimate(terms.log_mixture - log_prior)),
            }
        name = f"{len(means)} posteriors, scale {scale:g}"
        checks += [
            Check(f"{symbol}, {name}", truth, float(got.value), 4 * float(got.standard_error))
            for symbol, (truth, got) in measured.items()
        ]
    return checks


def _quadrature(means: np.ndarray, scale: float) -> tuple[float, float]:
    """I(n;z) and KL(q(z) || N(0, 1)) of a mixture of one latent, by the trapezoidal rule."""
    z = np.linspace(means.min() - 12 * scale, means.max() + 12 * scale, 20_001)
    log_q = -0.5 * ((z - means[:, None]) / scale) ** 2 - math.log(scale * math.sqrt(2 * math.pi))
    mixture = np.exp(log_q).mean(0)
    log_mixture = np.log(mixture)
    information = np.trapezoid((np.exp(log_q) * (log_q - log_mixture)).mean(0), z)
    log_prior = -0.5 * (z**2 + math.log(2 * math.pi))
    return float(information), float(np.trapezoid(mixture * (log_mixture - log_prior), z))


def _recomputed() -> Iterator[Check]:
    """The rows of models whose parameters are set by hand, against NumPy."""
    worst: dict[str, tuple[float, Check]] = {}
    for values, gain in zip(_MODELS, _GAINS, strict=True):
        for name, check in _of_model(values, gain):
            share = abs(check.measured - check.truth) / check.tolerance
            if name not in worst or not share <= worst[name][0]:  # nan is worse than any
                worst[name] = share, check
    yield from (check for _, check in worst.values())


def _engine(values: Mapping[str, Any]) -> Engine:
    devices = find_devices(Settings())
    settings = Settings(**({"dataset": "digits", "seeds": len(devices)} | dict(values)))
    plan = make_plan(settings, devices[0].platform, len(devices), 1, 2**50)
    return Engine(settings, datasets.load(settings), plan, devices)


def _of_model(values: Mapping[str, Any], gain: float) -> Iterator[tuple[str, Check]]:
    """Name and check of every number of the first and the last run on both splits."""
    engine = _engine(
        {"betas": (1.0,), "hidden": (48,), "latents": 32, "components": 7, "levels": 17}
        | {"codes": 250, "max_examples": 400, "likelihood_scale": 0.7}
        | dict(values)
    )
    runs = all_runs(engine.settings)
    start = next(iter(engine.train(runs))).state
    state = _spread_out(start, gain)
    ended = outcomes(runs, state)
    for measured in engine.measure(runs, state):
        if measured.run not in (runs[0], runs[-1]):
            continue
        n = runs.index(measured.run)
        model = jax.tree.map(lambda leaf, n=n: np.asarray(leaf)[n], selected(state))
        label = f"{engine.settings.prior}, {engine.settings.likelihood}, {measured.split}"
        raw = ("leave_one_out", "mutual_information_lower", "mutual_information_upper")
        got = row(engine, measured, ended[measured.run])
        got |= {name: getattr(measured.measurement, name)[0] for name in raw}
        got |= {f"{name}_se": getattr(measured.measurement, name)[1] for name in raw}
        got |= {"alarms": (got["failed_checks"] or "").count(";") + (got["status"] != "ok")}
        got |= _drawn(measured.codes)
        for name, (truth, tolerance) in _truths(engine, model, measured).items():
            value = math.nan if got[name] is None else float(got[name])
            yield name, Check(f"{name}: {label}", truth, value, tolerance)


def _spread_out(state: TrainState, gain: float) -> TrainState:
    """The same networks with posteriors that depend on the image, and a prior of its own."""

    def moved(leaf: jax.Array) -> jax.Array:
        wave = np.cos(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape)
        return jax.device_put(np.asarray(leaf) + 0.3 * wave, leaf.sharding)

    model = state.model
    encoder = jax.tree.map(lambda leaf: gain * leaf, model.encoder)
    return state._replace(
        model=model._replace(encoder=encoder, prior=jax.tree.map(moved, model.prior))
    )


def _drawn(codes: Codes) -> dict[str, float]:
    """What can be told of the draws without knowing them."""
    chosen, noise = (np.asarray(x, float) for x in (codes.chosen, codes.noise))
    code = np.asarray(codes.mean, float) + np.asarray(codes.scale, float) * noise
    return {
        "different images among the codes": len(set(chosen)),
        "mean place of the codes' images": float(chosen.mean()) / len(noise),
        "mean square of the noise": float(np.mean(noise**2)),
        "error of the codes": float(np.max(abs(codes.code - code) / (1 + abs(code)))),
    }


def _truths(engine: Engine, model: Any, measured: Measured) -> dict[str, tuple[float, float]]:
    """What NumPy makes of these parameters and this noise, by name, and the tolerance of each."""
    settings, codes = engine.settings, measured.codes
    x = engine.data.splits[measured.split].astype(np.float64) * engine.data.scale
    count, drawn = len(x), len(codes.chosen)
    encoder, decoder = (_layers(part) for part in (model.encoder.network, model.decoder))
    mean, scale = _posterior(recompute.mlp(x, encoder))
    log_prior, gaussian = _prior(engine, model, encoder)
    pairs = recompute.information(codes, log_prior, gaussian, *terms_of_bounds(drawn, exact=True))
    decoded = recompute.mlp(np.asarray(codes.code, float), decoder).reshape(*x.shape, -1)
    distortions = -recompute.log_likelihood(
        settings.likelihood, x, decoded, settings.likelihood_scale, settings.levels
    )
    pairs["distortion"] = recompute.pair(distortions)
    found = {}
    for name, (value, error) in pairs.items():
        found[name] = value, _SHARE * abs(value) + _NATS
        if name != "marginal_kl_gaussian":
            found[f"{name}_se"] = error, 1e-3 * error + 1e-6
    elbo = pairs["rate"][0] + pairs["distortion"][0]
    found["negative_elbo"] = elbo, _SHARE * abs(elbo) + _NATS
    if gaussian:
        error = recompute.pair(recompute.rates(codes, log_prior, gaussian) + distortions)[1]
        found["negative_elbo_se"] = error, 1e-3 * error
    information, distinct = pairs["mutual_information"][0], len(np.unique(x, axis=0))
    exact = {
        "examples": count,
        "distinct_examples": distinct,
        "saturated": information > math.log(distinct) - 1,
        "active_units": int(np.sum(np.var(mean, axis=0) > 0.01)),
        "alarms": 0,
        "different images among the codes": drawn,
    }
    found |= {name: (float(value), 0.1) for name, value in exact.items()}
    found["log_examples"] = math.log(count), 1e-12
    # A mean of so many uniform numbers, and of squares of normal ones; six standard errors.
    found["mean place of the codes' images"] = 0.5, 6 / math.sqrt(12 * drawn)
    found["mean square of the noise"] = 1.0, 6 * math.sqrt(2 / codes.noise.size)
    found["error of the codes"] = 0.0, 1e-5
    return found


def _layers(network: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(x.kernel[...]), np.asarray(x.bias[...])) for x in network.layers]


def _posterior(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale from the last layer of an encoder, whose log scales lie in -16 to 4."""
    mean, raw = np.split(outputs, 2, axis=1)
    bound = np.where(raw < 0, 16, 4)
    return mean, np.exp(raw / np.sqrt(1 + (raw / bound) ** 2))


def _prior(engine: Engine, model: Any, encoder: list[tuple[np.ndarray, np.ndarray]]) -> tuple:
    """log p(z), and the mean and the scale of p(z) where it is Gaussian."""
    prior, latents = model.prior, engine.settings.latents
    one = np.zeros(1)
    match engine.settings.prior:
        case "standard" | "diagonal" as name:
            mean, scale = np.zeros(latents), np.ones(latents)
            if name == "diagonal":
                mean = np.asarray(prior.mean[...], float)[0]
                scale = np.exp(np.asarray(prior.log_scale[...], float))[0]
            return recompute.log_mixture_prior(mean[None], scale[None], one), (mean, scale)
        case "mixture":
            mean, log_scale, log_weight = (
                np.asarray(part[...], float)
                for part in (prior.mean, prior.log_scale, prior.log_weight)
            )
            return recompute.log_mixture_prior(mean, np.exp(log_scale), log_weight), None
        case "vamp":
            inputs = np.asarray(prior.inputs[...], float)
            mean, scale = _posterior(recompute.mlp(inputs, encoder))
            return recompute.log_mixture_prior(mean, scale, np.zeros(len(inputs))), None

    def log_density(z: np.ndarray) -> np.ndarray:
        """The flow's own, operation by operation, and not as it is compiled with the rest."""
        with jax.enable_x64(True):
            return np.asarray(engine.functions.log_prior(model, jnp.asarray(z)))

    return log_density, None


def _training() -> Iterator[Check]:
    """A training of a few steps, the same on every device, against a stored one."""
    engine = _engine({**_TINY, "seeds": 1, "betas": (0.5,)})
    runs = all_runs(engine.settings)
    *_, last = engine.train(runs)
    (curve,) = loss_curves(runs, last.state, engine.steps)
    for n, pair in enumerate(_TRAJECTORY, 1):
        step = n * engine.steps // len(_TRAJECTORY)
        for name, truth in zip(("distortion", "rate"), pair, strict=True):
            label = f"{name} of training step {step}"
            yield Check(label, truth, curve[name][step - 1], 1e-3 * truth)


def _sweep(report: Callable[[Mapping[str, Any]], None]) -> Iterator[Check]:
    settings = Settings(
        dataset="gaussian:" + ",".join(f"{variance:g}" for variance in _VARIANCES),
        max_examples=25_000,
        codes=4_000,
        encoder="linear",
        decoder="linear",
        likelihood="gaussian",
        likelihood_scale=_SCALE,
        latents=3,
        betas=_BETAS,
        steps=20_000,
        iwae=20,
    )
    with tempfile.TemporaryDirectory() as folder:
        table = api.sweep(settings, Path(folder) / "verify", report)
    rows = table.query("split == 'train'").to_dict("records")
    optima = [linear_gaussian_optimum(np.array(_VARIANCES), _SCALE, beta) for beta in _BETAS]
    for found, best in zip(rows, optima, strict=True):
        truths = {
            "rate": best.rate,
            "distortion": best.distortion,
            "mutual_information": best.rate,
            "marginal_kl": 0.0,
        }
        if found["beta"] == 1:  # there q(z|x) is p(z|x), and every bound of -log p(x) is tight
            truths["nll_iwae"] = best.rate + best.distortion
        for name, truth in truths.items():
            slack = 0.01 if name == "marginal_kl" else 0.01 * abs(truth)
            tolerance = 4 * found[f"{name}_se"] + slack
            label = f"{name.replace('_', ' ')} at beta {found['beta']:g}"
            yield Check(label, truth, found[name], tolerance)
    # Along the exact curve dD/dR = -beta, so the chord of two optima is known too.
    for a, b, first, second in zip(rows, rows[1:], optima, optima[1:], strict=False):
        truth = (first.distortion - second.distortion) / (first.rate - second.rate)
        slope = (a["distortion"] - b["distortion"]) / (a["rate"] - b["rate"])
        label = f"slope from beta {a['beta']:g} to {b['beta']:g}"
        yield Check(label, truth, slope, 0.05 * abs(truth))
