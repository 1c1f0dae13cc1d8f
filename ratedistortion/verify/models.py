"""What the engine measures of models with parameters set by hand, compared with NumPy."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion import datasets
from ratedistortion.engine.devices import find_devices
from ratedistortion.engine.engine import Engine, MeasuredRun
from ratedistortion.engine.outcomes import outcomes
from ratedistortion.engine.plan import Sweep, make_plan
from ratedistortion.measuring.information import terms_of_bounds
from ratedistortion.measuring.measurement import Codes
from ratedistortion.settings import Settings
from ratedistortion.sweeping.rows import row
from ratedistortion.training.state import TrainState, selected
from ratedistortion.verify import recompute
from ratedistortion.verify.check import Check

# Largest difference of a number between float32 in the engine and float64 in NumPy, as a share of
# the number and in nats.
_SHARE, _NATS = 2e-5, 2e-4
# Every likelihood and every prior is used once, and both batchings. One model has more images than
# one tile of 2,048 posteriors and codes of some images only.
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
    {"prior": "vamp", "likelihood": "categorical", "batching": "vmap", "levels": 11},
    {"prior": "maf", "likelihood": "bernoulli", "binarize": "threshold", "batching": "map"},
)
_LATENTS = 32
# Factor on the encoder's parameters of each model: its posteriors then range from wide to sharp.
_GAINS = (2.0, 2.5, 2.0, 1.0, 2.5)


def recomputed() -> Iterator[Check]:
    """Checks the rows of models with parameters set by hand against NumPy.

    Yields:
        For each number the check with the largest error, as a share of its tolerance.
    """
    worst: dict[str, tuple[float, Check]] = {}
    for values, gain in zip(_MODELS, _GAINS, strict=True):
        for name, check in _of_model(values, gain):
            share = abs(check.measured - check.truth) / check.tolerance
            if name not in worst or not share <= worst[name][0]:  # nan is worse than any
                worst[name] = share, check
    yield from (check for _, check in worst.values())


def engine_of(values: Mapping[str, Any]) -> Engine:
    """Makes an engine on all devices of this machine, with two runs for each device.

    Args:
        values: Settings that are not the default.

    Returns:
        The engine, with its data loaded.
    """
    devices = find_devices(Settings())
    settings = Settings(**({"dataset": "digits", "seeds": 2 * len(devices)} | dict(values)))
    plan = make_plan(settings, devices[0].platform, len(devices), 1, 2**50)
    return Engine(Sweep(settings, datasets.load(settings), plan), devices)


def _of_model(values: Mapping[str, Any], gain: float) -> Iterator[tuple[str, Check]]:
    """Name and check of every number of the first, second and last run on both splits."""
    engine = engine_of(
        {"betas": (1.0,), "hidden": (48,), "latents": _LATENTS, "components": 7, "levels": 17}
        | {"codes": 250, "max_examples": 299, "likelihood_scale": 0.7}
        | dict(values)
    )
    runs = engine.sweep.runs
    start = next(iter(engine.train(runs))).state
    state = _spread_out(start, gain)
    ended = outcomes(runs, state)
    for measured in engine.measure(runs, state):
        if measured.run not in (*runs[:2], runs[-1]):
            continue
        n = runs.index(measured.run)
        model = jax.tree.map(lambda leaf, n=n: np.asarray(leaf)[n], selected(state))
        settings = engine.sweep.settings
        label = f"{settings.prior}, {settings.likelihood}, {measured.split}"
        raw = ("leave_one_out", "mutual_information_lower", "mutual_information_upper")
        got = row(engine, measured, ended[measured.run])
        numbers = measured.measurement.by_name()
        for name in raw:  # the row has them held within their bounds
            got[name], got[f"{name}_se"] = numbers[name]
        got |= {"alarms": (got["failed_checks"] or "").count(";") + (got["status"] != "ok")}
        got |= _drawn(measured.codes)
        got["error of the posteriors"] = _error_of_posteriors(engine, model, measured)
        for name, (truth, tolerance) in _truths(engine, model, measured).items():
            value = math.nan if got[name] is None else float(got[name])
            yield name, Check(f"{name}: {label}", truth, value, tolerance)


def _spread_out(state: TrainState, gain: float) -> TrainState:
    """Parameters whose posteriors depend on the image, most in the last latents; a moved prior."""

    def moved(leaf: jax.Array) -> jax.Array:
        wave = np.cos(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape)
        return jax.device_put(np.asarray(leaf) + 0.3 * wave, leaf.sharding)

    def graded(leaf: jax.Array) -> jax.Array:
        if leaf.shape[-1] != 2 * _LATENTS:
            return gain * leaf
        slope = jnp.concatenate([jnp.geomspace(0.02, 1, _LATENTS), jnp.ones(_LATENTS)])
        return gain * slope.reshape((1,) * (leaf.ndim - 1) + (-1,)) * leaf

    model = state.model
    encoder = jax.tree.map(graded, model.encoder)
    return state._replace(
        model=model._replace(encoder=encoder, prior=jax.tree.map(moved, model.prior))
    )


def _drawn(codes: Codes) -> dict[str, float]:
    """Statistics of the codes, whose expected values do not depend on the random numbers."""
    chosen, noise = (np.asarray(x, float) for x in (codes.chosen, codes.noise))
    code = np.asarray(codes.mean, float) + np.asarray(codes.scale, float) * noise
    return {
        "different images among the codes": float(len(set(chosen))),
        "mean place of the codes' images": float(chosen.mean()) / len(noise),
        "mean square of the noise": float(np.mean(noise**2)),
        "error of the codes": float(np.max(abs(codes.code - code) / (1 + abs(code)))),
    }


def _truths(engine: Engine, model: Any, measured: MeasuredRun) -> dict[str, tuple[float, float]]:
    """By name: the value that NumPy computes from these parameters and noise, and its tolerance."""
    settings, codes = engine.sweep.settings, measured.codes
    x = engine.sweep.data.splits[measured.split].astype(np.float64) * engine.sweep.data.scale
    count, drawn = len(x), len(codes.chosen)
    encoder, decoder = (_layers(part) for part in (model.encoder.network, model.decoder))
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
        "active_units": int(np.sum(np.var(np.asarray(codes.mean, float), axis=0) > 0.01)),
        "alarms": 0,
        "different images among the codes": drawn,
    }
    found |= {name: (float(value), 0.1) for name, value in exact.items()}
    found["log_examples"] = math.log(count), 1e-12
    # Means of uniform numbers and of squared normal numbers; the tolerance is six standard errors.
    found["mean place of the codes' images"] = 0.5, 6 / math.sqrt(12 * drawn)
    found["mean square of the noise"] = 1.0, 6 * math.sqrt(2 / codes.noise.size)
    found["error of the codes"] = found["error of the posteriors"] = 0.0, 1e-4
    if settings.likelihood == "gaussian":
        squares = recompute.pair(np.mean((x - decoded[..., 0]) ** 2, axis=1))
        found["distortion_mse"], found["distortion_mse_se"] = ((y, 1e-4 * y) for y in squares)
    return found


def _error_of_posteriors(engine: Engine, model: Any, measured: MeasuredRun) -> float:
    """The largest error of a mean or a scale, as a share of it or of 1."""
    x = engine.sweep.data.splits[measured.split].astype(np.float64) * engine.sweep.data.scale
    truths = _posterior(recompute.mlp(x, _layers(model.encoder.network)))
    pairs = zip((measured.codes.mean, measured.codes.scale), truths, strict=True)
    return max(float(np.max(abs(got - truth) / (1 + abs(truth)))) for got, truth in pairs)


def _layers(network: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(x.kernel[...]), np.asarray(x.bias[...])) for x in network.layers]


def _posterior(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale from the last layer of an encoder, whose log scales lie in -16 to 4."""
    mean, raw = np.split(outputs, 2, axis=1)
    bound = np.where(raw < 0, 16, 4)
    return mean, np.exp(raw / np.sqrt(1 + (raw / bound) ** 2))


def _prior(engine: Engine, model: Any, encoder: list[tuple[np.ndarray, np.ndarray]]) -> tuple:
    """log p(z), and the mean and the scale of p(z) where it is Gaussian."""
    prior, latents = model.prior, engine.sweep.settings.latents
    one = np.zeros(1)
    match engine.sweep.settings.prior:
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
        """The flow's own density, run operation by operation outside the engine's program."""
        with jax.enable_x64(True):
            return np.asarray(engine.autoencoder.log_prior(model, jnp.asarray(z)))

    return log_density, None
