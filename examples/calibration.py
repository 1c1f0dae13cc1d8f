"""Are the error bars right? 200 independent replications of a measurement whose truth is known.

Running time: about 20 seconds on two CPU cores.
Expect: with 250 codes each 95% interval covers its truth between 90% and 99% of the time. With one
code for each of the 1,000 images the intervals of I(n;z) and the marginal KL cover it more often:
every image is then drawn once, so only the noise of z is random, but sd / sqrt(codes) also counts
the choice of images. R and D are compared with their closed form for the population of images;
I(n;z) and the marginal KL with quadrature over the 1,000 posteriors.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ratedistortion.measuring.measurement import make_measure
from ratedistortion.models.autoencoder import Autoencoder
from ratedistortion.models.layers import LOG_SCALES
from ratedistortion.settings import Settings

REPLICATIONS, IMAGES = 200, 1000
# q(z|x) = N(0.8 x, 0.4^2), p(x|z) = N(0.9 z, 0.5^2), x from N(0, 1).
SLOPE, SCALE, DECODER, NOISE = 0.8, 0.4, 0.9, 0.5


def main() -> None:
    """Prints how often each interval covers its truth."""
    settings = Settings(
        dataset="normal",
        encoder="linear",
        decoder="linear",
        likelihood="gaussian",
        likelihood_scale=NOISE,
        latents=1,
    )
    autoencoder = Autoencoder(settings, (1,))
    model = autoencoder.build(jax.random.key(0))
    # `bounded_log_scale` makes log SCALE of this.
    raw = math.log(SCALE) / math.sqrt(1 - (math.log(SCALE) / LOG_SCALES[0]) ** 2)
    encoder, log_scale, decoder = (
        jnp.full((1, 1), value, jnp.float32) for value in (SLOPE, raw, DECODER)
    )
    skip = model.skip._replace(encoder=encoder, log_scale=log_scale, decoder=decoder)
    model = model._replace(skip=skip)
    rate = 0.5 * (SLOPE**2 + SCALE**2 - 1) - math.log(SCALE)
    error = (1 - DECODER * SLOPE) ** 2 + (DECODER * SCALE) ** 2
    distortion = math.log(NOISE * math.sqrt(2 * math.pi)) + error / (2 * NOISE**2)

    for codes in (250, IMAGES):
        measure = jax.jit(make_measure(autoencoder, 1, 1.0, codes))
        covered: dict[str, list[bool]] = {}
        random = np.random.default_rng(0)
        for seed in range(REPLICATIONS):
            x = random.normal(size=(IMAGES, 1)).astype(np.float32)
            with jax.enable_x64(True):
                measured, _ = measure(model, jnp.asarray(x), jnp.int32(seed))
            information, marginal_kl = quadrature(SLOPE * x[:, 0].astype(float))
            truths = {
                "rate": rate,
                "distortion": distortion,
                "mutual_information": information,
                "marginal_kl": marginal_kl,
            }
            for name, truth in truths.items():
                value, standard_error = map(float, measured.by_name()[name])
                inside = abs(value - truth) < 1.96 * standard_error
                covered.setdefault(name, []).append(bool(inside))
        print(f"{codes} codes of {IMAGES} images: share of 95% intervals that cover the truth")
        for name, hits in covered.items():
            print(f"  {name:20} {100 * np.mean(hits):5.1f}%")


def quadrature(means: np.ndarray) -> tuple[float, float]:
    """I(n;z) and KL(q(z) || N(0, 1)) of the mixture with these means, in nats."""
    z = np.linspace(means.min() - 8 * SCALE, means.max() + 8 * SCALE, 1001)
    log_q = -0.5 * ((z - means[:, None]) / SCALE) ** 2 - math.log(SCALE * math.sqrt(2 * math.pi))
    q = np.exp(log_q).mean(0)
    entropy = -np.trapezoid(q * np.log(q), z)
    prior = np.trapezoid(q * 0.5 * (z**2 + math.log(2 * math.pi)), z)
    return entropy - 0.5 * math.log(2 * math.pi * math.e * SCALE**2), prior - entropy


if __name__ == "__main__":
    main()
