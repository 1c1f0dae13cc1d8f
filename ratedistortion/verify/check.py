"""One number held against its truth."""

from typing import NamedTuple


class Check(NamedTuple):
    """One quantity held against its truth: it passes if |measured - truth| <= tolerance."""

    quantity: str
    truth: float
    measured: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; a nan never is."""
        return abs(self.measured - self.truth) <= self.tolerance
