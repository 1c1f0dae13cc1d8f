"""Which releases of JAX compute right numbers, as far as is known."""

from typing import Any

import jax

from ratedistortion.errors import SettingsError
from ratedistortion.events import Report, Warned

# What the tests are run with; `pyproject.toml` allows these and later ones of the same series.
TESTED = ((0, 10, 2), (0, 11, 0))
# In these releases XLA's compiler for CPUs counts only half of -log sigma in the rate, where runs
# are spread over two devices.
WRONG_ON_CPUS = ((0, 11, 1), (0, 11, 2))


def check_release(devices: list[Any], report: Report) -> None:
    """Refuses a release of JAX that computes wrong numbers, and warns of one that is too new.

    Args:
        devices: Those that a sweep is to use.
        report: Told of a release that is newer than all that are tested.

    Raises:
        SettingsError: If the release is known to be wrong on these devices.
    """
    version, newest = jax.__version_info__, max(TESTED)
    if version in WRONG_ON_CPUS and devices[0].platform == "cpu":
        raise SettingsError(
            f"JAX {dotted(version)} computes wrong numbers on CPUs: run"
            f" `pip install jax=={dotted(newest)} flax`."
        )
    if version > newest:
        report(
            Warned(
                f"JAX {dotted(version)} is newer than any that this version was tested with"
                f" ({dotted(newest)}): run `rd-sweep --verify` first."
            )
        )


def dotted(version: tuple[int, ...]) -> str:
    """A version as it is written, such as 0.11.0.

    Args:
        version: Its numbers, such as (0, 11, 0).
    """
    return ".".join(map(str, version))
