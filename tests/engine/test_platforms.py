"""Every program of the engine can be lowered for an NVIDIA GPU, on a machine without one.

JAX refuses to lower what a platform has no kernel for, and XLA is not asked: that it compiles and
computes the same there is for a machine with a GPU to show.
"""

import jax
import pytest
from jax import lax
from tiny_engine import CONVOLUTIONS, engine_of

from ratedistortion.datasets import Dataset
from ratedistortion.engine.plan import Plan

PROGRAMS = ("start", "advance", "measure train", "measure test", "pictures")
MODELS = {
    "dense": {"decoder": "mlp"},
    "convolutions": CONVOLUTIONS,
    "flows": {"encoder": "iaf", "decoder": "made", "prior": "maf"},
}


@pytest.mark.parametrize("batching", ["vmap", "map"])
@pytest.mark.parametrize("model", MODELS)
def test_every_program_is_lowered_for_cuda(data: Dataset, model: str, batching: str) -> None:
    engine = engine_of(data, Plan(batching, 2, 4, 1), **MODELS[model])
    for name in PROGRAMS:
        text = engine._lower(name, ("cuda",)).as_text()
        assert "stablehlo." in text and "callback" not in text
        assert ("f64" in text) == name.startswith("measure ")
        assert "lapack" not in text  # of a CPU


def test_no_program_is_forgotten_here(data: Dataset, monkeypatch) -> None:
    engine = engine_of(data, Plan("map", 2, 4, 1))
    follow: list[str] = []
    monkeypatch.setattr(engine.programs, "ahead", lambda *names: follow.extend(names))
    engine.compile_ahead()
    assert ("start", "advance", *follow) == PROGRAMS


def test_what_has_no_kernel_there_is_refused(data: Dataset, monkeypatch) -> None:
    engine = engine_of(data, Plan("vmap", 2, 4, 1))

    def start(arguments):  # JAX has the Schur decomposition for CPUs alone
        return jax.vmap(lambda beta: lax.linalg.schur(beta * jax.numpy.eye(2)))(arguments.beta)

    monkeypatch.setattr(engine, "_start", start)
    engine._lower("start")
    with pytest.raises(NotImplementedError, match="platform cuda"):
        engine._lower("start", ("cuda",))
