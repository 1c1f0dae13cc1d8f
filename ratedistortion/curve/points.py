"""From the rows of a table to one point a beta."""

from typing import NamedTuple

import numpy as np
import pandas
from jaxtyping import Bool, Float, Int

from ratedistortion.table.identity import asked_for

# Share of the sweep's largest rate; a point with no more rate than that has collapsed.
_COLLAPSED = 1e-3


class Points(NamedTuple):
    """One point for each beta or target rate, in increasing order of beta.

    Points of which no beta is known, NaN, come last, in decreasing order of rate.
    All numbers but beta are in one unit, that of the rows. The runs of a target rate are one point
    at the geometric mean of the betas that they found.
    """

    beta: Float[np.ndarray, " betas"]
    rate: Float[np.ndarray, " betas"]
    rate_se: Float[np.ndarray, " betas"]
    distortion: Float[np.ndarray, " betas"]
    distortion_se: Float[np.ndarray, " betas"]
    covariance: Float[np.ndarray, " betas"]
    """Covariance of the errors of R and D, which are measured on the same images."""
    seeds: Int[np.ndarray, " betas"]
    """Number of runs that the point is the mean of."""

    def variance(
        self, rate_weight: Float[np.ndarray, "..."], distortion_weight: Float[np.ndarray, "..."]
    ) -> Float[np.ndarray, "..."]:
        """Variance of rate_weight R + distortion_weight D, at each point.

        Args:
            rate_weight: Weight of R, for each point.
            distortion_weight: Weight of D, for each point.

        Returns:
            Variances in the squared unit of the points times weights, at least 0 but for rounding.
        """
        return (
            rate_weight**2 * self.rate_se**2
            + distortion_weight**2 * self.distortion_se**2
            + 2 * rate_weight * distortion_weight * self.covariance
        )


def points_of(rows: pandas.DataFrame) -> Points:
    r"""The mean over the seeds of each beta or target rate, of the runs whose status is ok.

    A row without a beta is a point of its own.

    The standard error of a mean over n seeds has two parts,
    $$se^2 = \overline{se_{run}^2} + s^2 / n,$$
    where s is the standard deviation between the seeds. The first part does not shrink with n,
    because all seeds are measured on the same images. With one seed, s is unknown and the error is
    that of measuring alone.

    Args:
        rows: Rows of one split, in any one unit, with `status`, `beta`, `rate`, `rate_se`,
            `distortion`, `distortion_se` and `negative_elbo_se`; `target_rate` may be absent. A
            missing standard error counts as 0.

    Returns:
        The points in the unit of the rows, by increasing beta; empty if no run is ok.
    """
    rows = rows.loc[rows["status"] == "ok"]
    asked, found = asked_for(rows), []
    # No beta is negative, so a negative number of its own keeps a row without a beta alone.
    for _, group in rows.groupby(asked.where(asked.notna(), -1.0 - np.arange(len(rows)))):
        n, betas = len(group), group["beta"].to_numpy(float)
        beta = betas[0] if np.ptp(betas) == 0 else np.exp(np.mean(np.log(betas)))
        rate, distortion = (group[name].to_numpy(float) for name in ("rate", "distortion"))
        errors = group[["rate_se", "distortion_se", "negative_elbo_se"]].to_numpy(float)
        rate_variance, distortion_variance, sum_variance = (np.nan_to_num(errors) ** 2).mean(0)
        bound = np.sqrt(rate_variance * distortion_variance)
        # Var(R + D) = Var R + Var D + 2 Cov. The bound keeps variances at 0 or above where the
        # three errors do not agree.
        together = (sum_variance - rate_variance - distortion_variance) / 2
        together = np.clip(together, -bound, bound)
        if n > 1:
            spread = np.cov(rate, distortion) / n
            rate_variance += spread[0, 0]
            distortion_variance += spread[1, 1]
            together += spread[0, 1]
        found.append(
            (beta, rate.mean(), rate_variance**0.5, distortion.mean(), distortion_variance**0.5)
            + (together, n)
        )
    found.sort(key=lambda point: (np.inf, -point[1]) if np.isnan(point[0]) else point)
    columns = np.array(found, float).reshape(-1, 7).T
    return Points(*columns[:6], seeds=columns[6].astype(int))


def collapsed(points: Points) -> Bool[np.ndarray, " betas"]:
    """Which points ignore their code: their R is at most a thousandth of the largest R, or 1e-9.

    Args:
        points: Points of one sweep.

    Returns:
        One truth value for each point.
    """
    return points.rate <= max(_COLLAPSED * np.max(points.rate, initial=0.0), 1e-9)
