"""One training run, as a pure function."""
