"""What is measured of a healthy model of a thousand images, for the tests that break it."""

import math

import numpy as np

from ratedistortion.estimators import Estimate
from ratedistortion.measuring.measurement import Measurement


def of(value: float, error: float = 0.01) -> Estimate:
    return Estimate(np.float64(value), np.float64(error))


NONE = of(math.nan, math.nan)
HEALTHY = Measurement(
    rate=of(8.0, 0.05),
    distortion=of(75.0, 0.3),
    negative_elbo=of(83.0, 0.3),
    mutual_information=of(5.0),
    marginal_kl=of(3.0),
    identity_residual=of(0.01),
    mutual_information_lower=of(4.5),
    mutual_information_upper=of(5.5),
    marginal_kl_gaussian=np.float64(1.0),
    leave_one_out=of(7.0, 0.1),
    nll_iwae=of(81.0, 0.3),
    active_units=np.int64(9),
)
