"""Numbers as they are measured of a good model on a thousand images, for tests that break them."""

import math
from typing import Any

import numpy as np

from ratedistortion.estimators import Estimate
from ratedistortion.measuring.information import Information
from ratedistortion.measuring.measurement import Measurement


def of(value: float, error: float = 0.01) -> Estimate:
    return Estimate(np.float64(value), np.float64(error))


def changed(m: Measurement, **numbers: Any) -> Measurement:
    """The same measurement with other numbers, by their names."""
    inner = {name: value for name, value in numbers.items() if name in Information._fields}
    outer = {name: value for name, value in numbers.items() if name not in inner}
    return m._replace(**outer, information=m.information._replace(**inner))


NONE = of(math.nan, math.nan)
HEALTHY = Measurement(
    rate=of(8.0, 0.05),
    distortion=of(75.0, 0.3),
    negative_elbo=of(83.0, 0.3),
    nll_iwae=of(81.0, 0.3),
    information=Information(
        mutual_information=of(5.0),
        marginal_kl=of(3.0),
        identity_residual=of(0.01),
        mutual_information_lower=of(4.5),
        mutual_information_upper=of(5.5),
        marginal_kl_gaussian=np.float64(1.0),
        leave_one_out=of(7.0, 0.1),
        active_units=np.int64(9),
    ),
)
