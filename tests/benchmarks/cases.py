"""The models that training is timed on: what every competitor builds, in its own way."""

import dataclasses
import math

import numpy as np

from ratedistortion.datasets import Dataset
from ratedistortion.settings import Settings

IMAGES = 10_000


@dataclasses.dataclass(frozen=True)
class Case:
    """One architecture, and how much of it is trained in a round.

    Attributes:
        name: Of the case, in tables.
        runs: Models that the engine trains together.
        steps: Steps of each in a round: some seconds, as the engine's first dispatches are short
            ones, and whole trainings have thousands of steps. A loop over single models, whose
            steps are all alike, takes `loop_steps`.
        hidden: Widths of the dense layers.
        encoder: Family, by the package's name.
        decoder: Family.
        shape: Of an image: (height, width, channels) or (dimensions,).
        batch_size: Images in a step.
        latents: Dimensions of the code.
        channels: Of the convolutions.
        strides: Of the convolutions.
        learning_rate: Of Adam.
    """

    name: str
    runs: int
    steps: int
    hidden: tuple[int, ...] = (256, 256)
    encoder: str = "mlp"
    decoder: str = "mlp"
    shape: tuple[int, ...] = (784,)
    batch_size: int = 100
    latents: int = 32
    channels: tuple[int, ...] = (32, 64)
    strides: tuple[int, ...] = (2, 2)
    learning_rate: float = 1e-3

    @property
    def dimensions(self) -> int:
        """Pixels of an image."""
        return math.prod(self.shape)

    @property
    def loop_steps(self) -> int:
        """Steps of a loop over single models in a round: some seconds too."""
        return self.steps * max(self.runs // 8, 1)

    def settings(self) -> Settings:
        """The sweep of this case: one beta per run."""
        shared = {field.name for field in dataclasses.fields(Settings)} - {"shape"}  # of files
        values = {name: x for name, x in dataclasses.asdict(self).items() if name in shared}
        betas = tuple(0.5 + n / 8 for n in range(self.runs))
        return Settings(dataset="noise", betas=betas, **values)

    def scaled(self, factor: float) -> "Case":
        """The same with more or fewer steps in a round."""
        return dataclasses.replace(self, steps=max(round(self.steps * factor), 4))


CASES = (
    Case("64-64", 32, 480, hidden=(64, 64)),
    Case("256-256", 8, 600),
    Case("512-512", 8, 240, hidden=(512, 512)),
    Case("conv", 8, 48, encoder="conv", decoder="deconv", shape=(28, 28, 1)),
    Case("made", 8, 240, decoder="made"),
)


def noise(case: Case) -> Dataset:
    """Random pixels, 0 or 1, of the case's shape: what they show costs nothing."""
    pixels = np.random.default_rng(0).integers(0, 2, (IMAGES, case.dimensions), np.uint8)
    splits = {"train": pixels, "test": pixels}
    return Dataset("noise", pixels, splits, case.shape, 1.0, False, "", {}, "")
