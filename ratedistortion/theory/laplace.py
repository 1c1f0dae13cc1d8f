r"""The Laplace source under absolute error."""

import numpy as np
from jaxtyping import Float


def laplace_rate(
    distortion: Float[np.ndarray, " points"], scale: float
) -> Float[np.ndarray, " points"]:
    r"""R(D) of a Laplace(b) source under the distortion |x - y|.

    $$R = \max(0, \ln(b / D)).$$

    Shannon's lower bound holds with equality here, because the best error has a Laplace
    distribution too.

    Args:
        distortion: D, the mean absolute error, above 0.
        scale: b, the mean absolute value of the source, above 0.

    Returns:
        The least rate, in nats per symbol, exact.

    Raises:
        ValueError: If a number is not above 0.

    Source: Berger, "Rate distortion theory", 1971, section 4.3.2.
    """
    if not (scale > 0 and np.all(distortion > 0)):
        raise ValueError(
            "scale and distortion must be above 0: a lossless code has no finite rate."
        )
    return np.maximum(np.log(scale / distortion), 0.0)
