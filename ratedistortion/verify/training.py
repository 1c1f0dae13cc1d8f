"""A training of a few steps, compared with stored numbers."""

from collections.abc import Iterator

from ratedistortion.engine.outcomes import loss_curves
from ratedistortion.verify.check import Check
from ratedistortion.verify.models import engine_of

_TINY = {"steps": 24, "hidden": (16,), "latents": 4, "precision": "highest", "binarize": "dynamic"}
# D and R at every sixth step, in nats per image, as JAX 0.10.2 and 0.11.0 compute them.
_TRAJECTORY = ((20.53015, 4.77076), (20.86068, 4.58234), (20.69494, 4.78390), (21.20875, 4.72451))


def steps() -> Iterator[Check]:
    """Checks D and R of a training of a few steps, the same on every device, with stored numbers.

    Yields:
        Checks in nats per image, at every sixth step.
    """
    engine = engine_of({**_TINY, "seeds": 1, "betas": (0.5,)})
    runs = engine.sweep.runs
    *_, last = engine.train(runs)
    (curve,) = loss_curves(runs, last.state, engine.steps)
    for n, pair in enumerate(_TRAJECTORY, 1):
        step = n * engine.steps // len(_TRAJECTORY)
        for name, truth in zip(("distortion", "rate"), pair, strict=True):
            label = f"{name} of training step {step}"
            yield Check(label, truth, curve[name][step - 1], 1e-3 * truth)
