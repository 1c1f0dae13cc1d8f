"""Runs of a linear model on a Gaussian source, whose optimum is known in closed form."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ratedistortion import datasets
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.settings import Settings
from ratedistortion.training.objective import make_loss
from ratedistortion.training.run import Run
from ratedistortion.training.state import DataShape, SweptParameters, TrainState, selected


class Ended(NamedTuple):
    """Several runs after their last step; D and R in nats, the mean over all training images."""

    state: TrainState
    distortion: np.ndarray
    rate: np.ndarray


@pytest.fixture(scope="session")
def train_linear() -> Callable[..., Ended]:
    """Trains one run for each beta or target rate of the settings, side by side."""

    def train(**values: Any) -> Ended:
        settings = Settings(
            **{
                "dataset": "gaussian:4,1,0.25",
                "encoder": "linear",
                "decoder": "linear",
                "likelihood": "gaussian",
                "likelihood_scale": 0.2**0.5,
                "latents": 3,
                "max_examples": 4000,
                "start": "random",
                "steps": 6000,
                "learning_rate": 0.01,
            }
            | values
        )
        data = datasets.load(settings)
        images = jnp.asarray(data.train)
        autoencoder = Autoencoder(settings, data.shape)
        shape = DataShape(len(data.train), data.scale, data.dynamic)
        run = Run(settings, autoencoder, shape)
        loss = make_loss(settings, autoencoder, shape)

        def whole(arguments: SweptParameters, images: jax.Array) -> tuple[TrainState, jax.Array]:
            state = run.advance(
                run.start(arguments), arguments, images, jnp.int32(0), jnp.int32(run.steps)
            )
            return state, loss(selected(state), images, jax.random.key(0), lambda rate: rate)[1]

        targets = settings.target_rates or (0.0,) * len(settings.betas)
        betas = settings.betas if not settings.target_rates else (1.0,) * len(targets)
        count = len(targets)
        arguments = SweptParameters(
            jnp.array(betas, jnp.float32),
            jnp.full(count, settings.learning_rate, jnp.float32),
            jnp.zeros(count, jnp.int32),
            jnp.array(targets, jnp.float32),
        )
        # Compiling takes longer than running: leave out LLVM's optimisation.
        options = {"xla_backend_optimization_level": 0}
        trained = jax.jit(jax.vmap(whole, (0, None)), compiler_options=options)
        state, terms = trained(arguments, images)
        return Ended(state, np.asarray(terms[:, 0]), np.asarray(terms[:, 1]))

    return train
