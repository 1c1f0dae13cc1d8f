"""Every program of the engine can be lowered for an NVIDIA GPU, on a machine without one.

JAX refuses to lower what a platform has no kernel for, and XLA is not asked: that it compiles and
computes the same there is for a machine with a GPU to show.
"""

import jax
import pytest
from tiny_engine import CONVOLUTIONS, engine_of

from ratedistortion.datasets import Dataset
from ratedistortion.engine.plan import Plan
from ratedistortion.engine.programs import Program

pytestmark = pytest.mark.slow  # with its neighbours it takes more than half a minute

MODELS = {
    "dense": {"decoder": "mlp"},
    "convolutions": CONVOLUTIONS,
    "flows": {"encoder": "iaf", "decoder": "made", "prior": "maf"},
}


@pytest.mark.parametrize("batching", ["vmap", "map"])
@pytest.mark.parametrize("model", MODELS)
def test_every_program_is_lowered_for_cuda(data: Dataset, model: str, batching: str) -> None:
    engine = engine_of(data, Plan(batching, 2, 4, 1), **MODELS[model])
    measuring = engine.programs.measure.values()
    for program in engine.programs.all():
        text = program.lower(("cuda",)).as_text()
        assert "stablehlo." in text and "callback" not in text
        assert ("f64" in text) == (program in measuring)
        assert "lapack" not in text  # of a CPU


def test_what_has_no_kernel_there_is_refused() -> None:
    # JAX has the Schur decomposition for CPUs alone.
    program = Program(jax.lax.linalg.schur, jax.ShapeDtypeStruct((2, 2), jax.numpy.float32))
    program.lower()
    with pytest.raises(NotImplementedError, match="platform cuda"):
        program.lower(("cuda",))
