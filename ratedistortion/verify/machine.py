"""All checks of `rd-sweep --verify` on this machine, the quickest first."""

import platform
from collections.abc import Iterator
from importlib import metadata

from ratedistortion.engine.devices import find_devices
from ratedistortion.events import Report, ignore
from ratedistortion.settings import Settings
from ratedistortion.verify import known, models, training
from ratedistortion.verify.check import Check


def environment() -> str:
    """One line that names the program, its libraries and the devices that `verify` runs on."""
    names = ("ratedistortion", "jax", "jaxlib", "flax", "optax", "numpy")
    versions = [f"{name} {metadata.version(name)}" for name in names]
    devices = find_devices(Settings())
    return (
        f"{', '.join(versions)}, Python {platform.python_version()},"
        f" {len(devices)} x {devices[0].device_kind}"
    )


def verify(report: Report = ignore) -> Iterator[Check]:
    """Checks every number that a sweep writes, on the devices and through the programs of sweeps.

    Four kinds of checks: the estimators against quadrature over mixtures of one latent; what the
    engine measures of models with every prior and likelihood against NumPy; a training of a few
    steps against stored numbers; and a sweep of a linear model of a Gaussian source, whose optimum
    has a closed form. The tolerance of an estimate is 4 standard errors, and 1% more where a model
    is trained. The marginal KL, 0 at the optimum, may be 0.01, because a finite number of images
    has some.

    Args:
        report: Called with every event of the sweep.

    Yields:
        The checks, the quickest first, in nats except for slopes and units.
    """
    # A CPU counts as several devices only if JAX is told so before it starts.
    find_devices(Settings())
    yield from known.units()
    yield from known.mixtures()
    yield from models.recomputed()
    yield from training.steps()
    yield from known.linear_gaussian(report)
