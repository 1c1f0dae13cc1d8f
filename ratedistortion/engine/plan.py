"""Which runs go together, decided once and stored: the width of a batch changes the last digits."""

import dataclasses
import math
from typing import Any

from ratedistortion.datasets import Dataset
from ratedistortion.errors import OutOfMemoryError, RunDirectoryError, SettingsError
from ratedistortion.settings import BATCHING, Settings

# Most runs in a chunk: more of them gain no speed, and a crash can cost the work of one chunk.
_MAX_RUNS = 64


@dataclasses.dataclass(frozen=True)
class RunId:
    """One training run of a sweep.

    Attributes:
        beta: The weight of the rate, or what it starts from on the way to the target rate.
        seed: Of the parameters, the minibatches and the noise.
        target_rate: None where the loss is D + beta R.
    """

    beta: float
    seed: int
    target_rate: float | None = None

    @property
    def label(self) -> str:
        """What was asked of this run, and its seed, as names of files have them."""
        asked = f"beta={self.beta!r}"
        if self.target_rate is not None:
            asked = f"target_rate={self.target_rate!r}"
        return f"{asked},seed={self.seed}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the runs of a sweep share the devices.

    Attributes:
        batching: `vmap` (all runs of a device at once) or `map` (one after another).
        devices: Devices that the runs of a chunk are spread over.
        width: Runs in a chunk, padding included: a multiple of `devices`.
        chunks: Chunks in the sweep.
    """

    batching: str
    devices: int
    width: int
    chunks: int

    def chunk(self, runs: tuple[RunId, ...], number: int) -> tuple[RunId, ...]:
        """The runs of one chunk, without padding.

        Args:
            runs: Every run of the sweep.
            number: Which chunk, from 0.
        """
        return runs[number * self.width : (number + 1) * self.width]


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """What is computed, from the moment when a sweep begins.

    Attributes:
        settings: What was asked for.
        data: The data set that the settings name.
        plan: How the runs share the devices.
        part: The runs, where a sweep was extended and these are not all of it.
    """

    settings: Settings
    data: Dataset
    plan: Plan
    part: tuple[RunId, ...] | None = None

    @property
    def runs(self) -> tuple[RunId, ...]:
        """Every run that is computed, in the order of the chunks."""
        return all_runs(self.settings) if self.part is None else self.part


def all_runs(settings: Settings) -> tuple[RunId, ...]:
    """Every run of a sweep, in the order of the table's rows.

    Args:
        settings: Of the sweep: its betas or target rates, and seeds.
    """
    points = [(beta, None) for beta in settings.betas]
    if settings.target_rates:
        points = [(1.0, target) for target in settings.target_rates]
    return tuple(
        RunId(beta, seed, target) for beta, target in points for seed in settings.seed_range
    )


def make_plan(
    settings: Settings, count: int, platform: str, devices: int, bytes_per_run: int, memory: int
) -> Plan:
    """Chooses the chunks' width by memory, and the batching by the kind of device.

    Args:
        settings: The sweep.
        count: How many runs there are.
        platform: `cpu` or another name of JAX's; a CPU maps, any other device batches.
        devices: Devices at hand.
        bytes_per_run: Memory that one run needs, in bytes.
        memory: Memory that all devices together can give to runs, in bytes.

    Returns:
        The plan: as few chunks as fit, of equal width.

    Raises:
        OutOfMemoryError: If not even one run fits.
        SettingsError: If `runs_at_once` asks for more than memory holds.
    """
    fitting = memory // bytes_per_run
    if fitting < 1:
        raise OutOfMemoryError(
            f"one run needs about {bytes_per_run / 2**20:,.0f} MiB and {memory / 2**20:,.0f} MiB"
            " are free: lower hidden, latents or batch_size."
        )
    asked = settings.runs_at_once
    if asked and min(asked, count) > fitting:
        raise SettingsError(
            f"runs_at_once: {asked} runs need about {asked * bytes_per_run / 2**20:,.0f} MiB and"
            f" {memory / 2**20:,.0f} MiB are free: at most {fitting} fit."
        )
    most = min(asked or _MAX_RUNS, fitting)
    devices = min(devices, most, count)
    # A place for padding costs less than a second chunk.
    padded = math.ceil(count / devices) * devices
    most = padded if count <= most and padded <= fitting else most - most % devices
    chunks = math.ceil(count / most)
    width = math.ceil(math.ceil(count / chunks) / devices) * devices
    batching = settings.batching
    if batching == "auto":
        batching = "map" if platform == "cpu" else "vmap"
    return Plan(batching, devices, width, math.ceil(count / width))


def stored_plan(values: dict[str, Any], count: int, settings: Settings) -> Plan:
    """The plan of a manifest, compared with what is asked for now.

    Args:
        values: The plan as the manifest holds it.
        count: How many runs it is for.
        settings: What is asked for.

    Raises:
        RunDirectoryError: If the stored plan is damaged, or `settings` explicitly ask for another.
    """
    try:
        plan = Plan(**values)
        fits = (
            plan.batching in BATCHING[1:]
            and all(type(n) is int and n > 0 for n in (plan.devices, plan.width, plan.chunks))
            and plan.devices <= count
            and plan.width % plan.devices == 0
            and plan.width < count + plan.devices
            and plan.chunks == math.ceil(count / plan.width)
        )
    except TypeError:
        fits = False
    if not fits:
        raise RunDirectoryError("manifest.json: the chunk plan is damaged; restore it.")
    if settings.batching not in ("auto", plan.batching):
        raise RunDirectoryError(
            f"batching: {plan.batching} in the run directory, {settings.batching} asked for:"
            " leave the option out, or use another directory."
        )
    return plan
