"""Models that a sweep has kept: which there are, and what can be done with one."""
