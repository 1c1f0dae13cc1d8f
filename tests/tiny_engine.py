"""A small engine on small images, for the tests that train or measure one."""

from typing import Any

import jax

from ratedistortion.datasets import Dataset
from ratedistortion.engine.engine import Engine
from ratedistortion.engine.plan import Plan, Sweep
from ratedistortion.settings import Settings

STEPS, BETAS = 24, (0.1, 1.0, 4.0)
CONVOLUTIONS = {"encoder": "conv", "decoder": "deconv", "channels": (2, 3)}


def settings_of(**values: Any) -> Settings:
    return Settings(
        **{
            "dataset": "digits",
            "binarize": "static",
            "max_examples": 200,
            "hidden": (8,),
            "decoder": "linear",
            "latents": 2,
            "batch_size": 20,
            "steps": STEPS,
            "betas": BETAS,
            "learning_rate": 0.01,
            "codes": 100,
        }
        | values
    )


def engine_of(data: Dataset, plan: Plan, **values: Any) -> Engine:
    return Engine(Sweep(settings_of(**values), data, plan), jax.devices())
