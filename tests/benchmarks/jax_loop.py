"""What a user of JAX would write: one model, one jitted step, a Python loop."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from cases import Case
from jax_networks import DECODERS, ENCODERS


class JaxLoop:
    """One model in training; a call takes `loop_steps` more steps and returns their seconds."""

    def __init__(self, case: Case, pixels: np.ndarray) -> None:
        encoder = ENCODERS[case.encoder](case)
        decoder = DECODERS[case.decoder](case)
        self.case, self._images = case, jnp.asarray(pixels, jnp.float32)
        adam = optax.adam(case.learning_rate)

        def loss(params, x, noise_key, beta):
            mean, log_scale = jnp.split(encoder[1](params["encoder"], x), 2, axis=-1)
            z = mean + jnp.exp(log_scale) * jax.random.normal(noise_key, mean.shape)
            logits = decoder[1](params["decoder"], z, x)
            distortion = optax.sigmoid_binary_cross_entropy(logits, x).sum(axis=-1).mean()
            kl = 0.5 * (mean**2 + jnp.exp(2 * log_scale) - 1 - 2 * log_scale)
            return distortion + beta * kl.sum(axis=-1).mean()

        def step(state, images, rows, beta):
            params, optimizer, key = state
            key, noise_key = jax.random.split(key)
            value, gradient = jax.value_and_grad(loss)(params, images[rows], noise_key, beta)
            updates, optimizer = adam.update(gradient, optimizer)
            return (optax.apply_updates(params, updates), optimizer, key), value

        self._step = jax.jit(step, donate_argnums=0)
        keys = jax.random.split(jax.random.key(0), 3)
        params = {"encoder": encoder[0](keys[0]), "decoder": decoder[0](keys[1])}
        self._state = jax.block_until_ready((params, adam.init(params), keys[2]))
        self._random, self._order = np.random.default_rng(0), np.empty((0, case.batch_size))
        self.compile_seconds = self._run(1)

    def __call__(self) -> float:
        return self._run(self.case.loop_steps)

    def _run(self, steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            if not len(self._order):
                order = self._random.permutation(len(self._images)).astype(np.int32)
                self._order = order.reshape(-1, self.case.batch_size)
            rows, self._order = self._order[0], self._order[1:]
            self._state, value = self._step(self._state, self._images, rows, 1.0)
        assert np.isfinite(jax.block_until_ready((value, self._state))[0])
        return time.perf_counter() - began
