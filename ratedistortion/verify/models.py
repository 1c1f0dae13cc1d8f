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
from ratedistortion.engine.plan import Sweep, all_runs, make_plan
from ratedistortion.measuring.information import terms_of_bounds
from ratedistortion.models.layers import LAST_GAIN
from ratedistortion.settings import Settings
from ratedistortion.sweeping.rows import row
from ratedistortion.training.state import TrainState, selected
from ratedistortion.verify import recompute
from ratedistortion.verify.check import Check

# Largest difference of a number between float32 in the engine and float64 in NumPy, as a share of
# the number and in nats.
_SHARE, _NATS = 2e-5, 2e-4
# Largest difference of a count, and of the logarithm of one.
_EXACT = 1e-6
# A factor on the encoder's parameters, which makes posteriors range from wide to sharp, and the
# settings of a model. Every likelihood and every prior is used once, and both batchings. The first
# model has more images than one tile of 2,048 posteriors, codes of some images only, and so many
# latents that they are summed in groups.
_MODELS: tuple[tuple[float, dict[str, Any]], ...] = (
    (
        2.0,
        {
            "dataset": "patterns:8,100,0.1",
            "max_examples": 2049,
            "codes": 300,
            "latents": 96,
            "batching": "map",
        },
    ),
    (
        2.5,
        {
            "dataset": "gaussian:9,4,1,1",
            "prior": "diagonal",
            "likelihood": "gaussian",
            "batching": "vmap",
        },
    ),
    (2.0, {"prior": "mixture", "likelihood": "discretized-logistic", "batching": "map"}),
    (1.0, {"prior": "vamp", "likelihood": "categorical", "batching": "vmap", "levels": 11}),
    (2.5, {"prior": "maf", "binarize": "threshold", "batching": "map"}),
)


def recomputed() -> Iterator[Check]:
    """Checks the rows of models with parameters set by hand against NumPy.

    Yields:
        For each number the check with the largest error, as a share of its tolerance.
    """
    worst: dict[str, tuple[float, Check]] = {}
    for gain, values in _MODELS:
        for name, check in _of_model(gain, values):
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
    count = len(all_runs(settings))
    plan = make_plan(settings, count, devices[0].platform, len(devices), 1, 2**50)
    return Engine(Sweep(settings, datasets.load(settings), plan), devices)


def _of_model(gain: float, values: Mapping[str, Any]) -> Iterator[tuple[str, Check]]:
    """Name and check of every number of the first, second and last run on both splits."""
    engine = engine_of(
        {"betas": (1.0,), "hidden": (48,), "latents": 32, "components": 7, "levels": 17}
        | {"codes": 250, "max_examples": 299, "likelihood_scale": 0.7}
        | dict(values)
    )
    runs, settings = engine.sweep.runs, engine.sweep.settings
    start = next(iter(engine.train(runs))).state
    state = _spread_out(start, gain)
    ended = outcomes(runs, state)
    for measured in engine.measure(runs, selected(state)):
        if measured.run not in (*runs[:2], runs[-1]):
            continue
        n = runs.index(measured.run)
        model = jax.tree.map(lambda leaf, n=n: np.asarray(leaf)[n], selected(state))
        found = row(engine, measured, ended[measured.run])
        numbers = measured.measurement.by_name()
        # The row has these held within their bounds.
        for name in ("leave_one_out", "mutual_information_lower", "mutual_information_upper"):
            found[name], found[f"{name}_se"] = numbers[name]
        checks = *_of_codes(measured), *_of_row(engine, model, measured, found)
        for name, truth, value, tolerance in checks:
            label = f"{name}: {settings.prior}, {settings.likelihood}, {measured.split}"
            value = math.nan if value is None else float(value)
            yield name, Check(label, truth, value, tolerance)


def _spread_out(state: TrainState, gain: float) -> TrainState:
    """Parameters whose posteriors depend on the image, most in the last latents.

    The prior and the linear maps are moved from where they start, and some latents are shut.
    """

    def moved(leaf: jax.Array) -> jax.Array:
        wave = np.cos(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape)
        return jax.device_put(np.asarray(leaf) + 0.3 * wave, leaf.sharding)

    def graded(leaf: jax.Array) -> jax.Array:
        if leaf.shape[-1] != 2 * latents:
            return gain * leaf
        slope = jnp.concatenate([jnp.geomspace(0.02, 1, latents), jnp.ones(latents)])
        return gain / LAST_GAIN * slope.reshape((1,) * (leaf.ndim - 1) + (-1,)) * leaf

    def shut(leaf: jax.Array) -> jax.Array:
        is_open = np.asarray(leaf) * (np.arange(latents) % 5 > 0)
        return jax.device_put(is_open.astype(leaf.dtype), leaf.sharding)

    model, skip = state.model, state.model.skip
    latents = skip.open.shape[-1]
    skip = jax.tree.map(moved, skip)._replace(open=shut(skip.open))
    encoder, prior = jax.tree.map(graded, model.encoder), jax.tree.map(moved, model.prior)
    return state._replace(model=model._replace(encoder=encoder, prior=prior, skip=skip))


def _of_codes(measured: MeasuredRun) -> Iterator[tuple[str, float, float, float]]:
    """Statistics of the codes, whose expected values do not depend on the random numbers."""
    codes = measured.codes
    chosen, noise, mean, scale = (
        np.asarray(part, float) for part in (codes.chosen, codes.noise, codes.mean, codes.scale)
    )
    drawn, count = len(chosen), len(noise)
    yield "different images among the codes", drawn, len(set(chosen)), _EXACT
    # Means of uniform numbers and of squared normal numbers; the tolerance is six standard errors.
    yield "mean place of the codes' images", 0.5, chosen.mean() / count, 6 / math.sqrt(12 * drawn)
    yield "mean square of the noise", 1.0, float(np.mean(noise**2)), 6 * math.sqrt(2 / noise.size)
    yield "error of the codes", 0.0, _largest_error(codes.code, mean + scale * noise), 1e-4


def _of_row(
    engine: Engine, model: Any, measured: MeasuredRun, found: Mapping[str, Any]
) -> Iterator[tuple[str, float, Any, float]]:
    """Each number of a row beside what NumPy computes from these parameters and this noise."""
    settings, data, codes = engine.sweep.settings, engine.sweep.data, measured.codes
    x = data.splits[measured.split].astype(np.float64) * data.scale
    decoder = _layers(model.decoder)
    posterior = _posterior(model, x)
    error = _largest_error(np.stack([codes.mean, codes.scale]), np.stack(posterior))
    yield "error of the posteriors", 0.0, error, 1e-4
    log_prior, gaussian = _prior(engine, model)
    bounds = terms_of_bounds(len(codes.chosen), True, engine.autoencoder.latents)
    pairs = recompute.information(codes, log_prior, gaussian, *bounds)
    *_, is_open, linear, bias = _skip(model)
    z = np.asarray(codes.code, float) * is_open
    decoded = (recompute.mlp(z, decoder) + z @ linear + bias).reshape(*x.shape, -1)
    distortions = -recompute.log_likelihood(
        settings.likelihood, x, decoded, float(settings.likelihood_scale), settings.levels
    )
    pairs["distortion"] = recompute.pair(distortions)
    if settings.likelihood == "gaussian":
        squares = np.mean((x - decoded[..., 0]) ** 2, axis=1)
        pairs["distortion_mse"] = recompute.pair(squares)
    for name, (value, error) in pairs.items():
        yield name, value, found[name], _SHARE * abs(value) + _NATS
        if f"{name}_se" in found:
            yield f"{name}_se", error, found[f"{name}_se"], 1e-3 * error + 1e-6
    elbo = pairs["rate"][0] + pairs["distortion"][0]
    yield "negative_elbo", elbo, found["negative_elbo"], _SHARE * abs(elbo) + _NATS
    if gaussian:  # otherwise R can be the mean over fewer codes, whose sum with D has another error
        _, error = recompute.pair(recompute.rates(codes, log_prior, gaussian) + distortions)
        yield "negative_elbo_se", error, found["negative_elbo_se"], 1e-3 * error
    information, distinct = pairs["mutual_information"][0], len(np.unique(x, axis=0))
    exact = {
        "examples": len(x),
        "distinct_examples": distinct,
        "log_examples": math.log(len(x)),
        "saturated": information > math.log(distinct) - 1,
        "active_units": np.sum(np.var(np.asarray(codes.mean, float), axis=0) > 0.01),
    }
    for name, value in exact.items():
        yield name, float(value), found[name], _EXACT
    alarms = (found["failed_checks"] or "").count(";") + (found["status"] != "ok")
    yield "alarms", 0.0, alarms, _EXACT


def _largest_error(got: Any, truth: np.ndarray) -> float:
    """The largest error of an array, as a share of the number or of 1."""
    return float(np.max(abs(got - truth) / (1 + abs(truth))))


def _layers(network: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(_wide(x.kernel), _wide(x.bias)) for x in network.layers]


def _wide(parameter: Any) -> np.ndarray:
    return np.asarray(parameter[...], float)


def _skip(model: Any) -> list[np.ndarray]:
    """The linear maps beside the networks; those of the decoder and `open` are the last three."""
    skip = model.skip
    names = (skip.centre, skip.encoder, skip.log_scale, skip.open, skip.decoder, skip.bias)
    return [np.asarray(part, float) for part in names]


def _posterior(model: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of every posterior; log scales lie in -16 to 4, shut latents are N(0, 1)."""
    centre, linear, log_scale, is_open, *_ = _skip(model)
    x = x - centre
    mean, raw = np.split(recompute.mlp(x, _layers(model.encoder.network)), 2, axis=1)
    raw = raw + log_scale
    bound = np.where(raw < 0, 16, 4)
    return is_open * (mean + x @ linear), np.exp(is_open * raw / np.sqrt(1 + (raw / bound) ** 2))


def _prior(engine: Engine, model: Any) -> tuple:
    """log p(z), and the mean and the scale of p(z) where it is Gaussian."""
    name, prior = engine.sweep.settings.prior, model.prior

    def of_flow(z: np.ndarray) -> np.ndarray:
        """The flow's own density, run operation by operation outside the engine's program."""
        with jax.enable_x64(True):
            return np.asarray(engine.autoencoder.log_prior(model, jnp.asarray(z)))

    if name == "maf":
        return of_flow, None
    if name == "standard":
        mean, scale = np.zeros_like(model.skip.open), np.ones_like(model.skip.open)
    elif name == "vamp":
        mean, scale = _posterior(model, _wide(prior.inputs))
    else:
        mean, scale = _wide(prior.mean), np.exp(_wide(prior.log_scale))
    log_weight = _wide(prior.log_weight) if name == "mixture" else np.zeros(len(mean))
    gaussian = (mean, scale) if len(mean) == 1 else None
    return recompute.log_mixture_prior(mean, scale, log_weight), gaussian
