"""The loss: how free bits count."""

import jax
import pytest

from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.settings import Settings


def test_free_bits_are_the_least_rate_of_a_latent(train_linear):
    """At beta 30 every latent collapses, but for the nats that are free: 3 times 0.2."""
    ended = train_linear(betas=(30.0,), free_bits=0.2, batch_size=500, steps=2000)
    assert ended.rate[0] == pytest.approx(0.6, rel=0.05)


def test_free_bits_need_a_rate_for_every_latent():
    settings = Settings(dataset="gaussian:4,1,0.25", free_bits=0.1, prior="vamp")
    autoencoder = Autoencoder(settings, (3,))
    with pytest.raises(SettingsError, match="free_bits needs .* got prior vamp"):
        jax.eval_shape(autoencoder.build, jax.random.key(0))


def test_free_bits_and_target_rates_exclude_each_other():
    with pytest.raises(SettingsError, match="free_bits and target_rates exclude each other"):
        Settings(dataset="gaussian:4,1,0.25", free_bits=0.1, target_rates=(1.0,))
