"""Curves that are known in closed form, and rows of a table."""

import numpy as np
import pandas
import pytest

from ratedistortion.curve import Points
from ratedistortion.theory import linear_gaussian_optimum


@pytest.fixture(scope="session")
def exact():
    """Makes the optima of linear-Gaussian models at each beta, which are known in closed form."""

    def make(betas, variances=(4, 1, 0.25), error=0.0, **changed):
        betas = np.asarray(betas, float)
        eigenvalues, scale = np.asarray(variances), 0.2**0.5
        optima = [linear_gaussian_optimum(eigenvalues, scale, float(beta)) for beta in betas]
        errors = np.full(len(betas), error)
        points = Points(
            betas,
            rate=np.array([optimum.rate for optimum in optima]),
            rate_se=errors,
            distortion=np.array([optimum.distortion for optimum in optima]),
            distortion_se=errors,
            covariance=0 * errors,
            seeds=np.ones(len(betas), int),
        )
        return points._replace(**changed)

    return make


@pytest.fixture(scope="session")
def rows():
    """Makes rows of a table; by default R and D have errors without covariance."""

    def make(**columns):
        table = {"status": "ok", "seed": 0, "rate_se": 0.1, "distortion_se": 0.2} | columns
        table.setdefault("negative_elbo_se", 0.05**0.5)
        frame = pandas.DataFrame(table)
        return frame.assign(negative_elbo=frame["rate"] + frame["distortion"])

    return make
