"""`rd-sweep --verify`: every number of a sweep is compared with a value from another source."""

from ratedistortion.verify.check import Check
from ratedistortion.verify.machine import environment, verify

__all__ = ["Check", "environment", "verify"]
