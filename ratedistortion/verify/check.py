"""One measured number and its true value."""

from typing import NamedTuple


class Check(NamedTuple):
    """One comparison, which passes if |measured - truth| <= tolerance.

    Attributes:
        quantity: Its name, as it is printed.
        truth: The true value, in nats where it is no slope, unit or count.
        measured: The value from the engine or an estimator, in the same unit.
        tolerance: The largest error allowed, in the same unit.
    """

    quantity: str
    truth: float
    measured: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; a nan never is."""
        return abs(self.measured - self.truth) <= self.tolerance
