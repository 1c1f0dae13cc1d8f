"""All checks of this machine, the quickest first."""

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
    yield from known.units()
    yield from known.mixtures()
    yield from models.recomputed()
    yield from training.steps()
    yield from known.linear_gaussian(report)
