"""An encoder of your own: attention over the patches of an image, swept beside `mlp`.

    rd-sweep RUN_DIR --encoder examples/own_encoder.py:attention

is enough to use it; `python examples/own_encoder.py` sweeps the digits with both encoders and draws
both curves into runs/own_encoder/curve.png.

Running time: about 2 minutes on two CPU cores.
Expect: two curves within half a nat of each other: digits are small, and the linear maps beside
the networks do most of the work.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import ratedistortion as rd
from ratedistortion.models.interfaces import Posterior

PATCH, WIDTH, HEADS = 2, 32, 4  # height and width of a patch, numbers for each, and heads


class Attention(nnx.Module):
    """One block of self-attention over patches, then an affine map to mean and log scale."""

    gaussian = True

    def __init__(self, key: jax.Array, shape: tuple[int, ...], latents: int) -> None:
        rngs = nnx.Rngs(key)
        height, width, channels = shape
        self.shape, tokens = shape, height * width // PATCH**2
        self.embed = nnx.Linear(PATCH**2 * channels, WIDTH, rngs=rngs)
        self.places = nnx.Param(0.1 * jax.random.normal(rngs(), (1, tokens, WIDTH), jnp.float32))
        self.norm = nnx.LayerNorm(WIDTH, rngs=rngs)
        # The bias of keys would have no gradient: attention does not depend on it.
        self.attend = nnx.MultiHeadAttention(HEADS, WIDTH, use_bias=False, decode=False, rngs=rngs)
        # Small weights: the model starts near the linear maps that every model has.
        small = nnx.initializers.variance_scaling(0.01, "fan_in", "truncated_normal")
        self.last = nnx.Linear(tokens * WIDTH, 2 * latents, kernel_init=small, rngs=rngs)

    def __call__(self, x: jax.Array) -> Posterior:
        height, width, channels = self.shape
        x = x.reshape(-1, height // PATCH, PATCH, width // PATCH, PATCH, channels)
        patches = x.swapaxes(2, 3).reshape(len(x), -1, PATCH**2 * channels)
        tokens = self.embed(patches) + self.places[...]
        tokens = tokens + self.attend(self.norm(tokens))
        mean, log_scale = jnp.split(self.last(jax.nn.silu(tokens).reshape(len(x), -1)), 2, axis=-1)
        return Posterior(mean, log_scale)


def attention(key: jax.Array, settings: rd.Settings, shape: tuple[int, ...]) -> Attention:
    """The function that `--encoder own_encoder.py:attention` names."""
    return Attention(key, shape, settings.latents)


def main(folder: Path, **values: Any) -> None:
    """Sweeps both encoders, and draws their curves."""
    tables = {
        name: rd.sweep(rd.Settings(encoder=encoder, **values), folder / name)
        for name, encoder in (("mlp", "mlp"), ("attention", f"{__file__}:attention"))
    }
    rd.figure(tables).savefig(folder / "curve.png")
    for name, table in tables.items():
        test = table[table["split"] == "test"]
        print(name, *(f"{loss:.2f}" for loss in test["distortion"] + test["beta"] * test["rate"]))


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["runs/own_encoder"]), betas=(0.1, 0.3, 1.0, 3.0), latents=16)
