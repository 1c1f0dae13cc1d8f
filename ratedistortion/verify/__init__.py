"""What a user runs first on a new machine: every number of a sweep against a truth from outside."""

from ratedistortion.verify.check import Check
from ratedistortion.verify.machine import environment, verify

__all__ = ["Check", "environment", "verify"]
