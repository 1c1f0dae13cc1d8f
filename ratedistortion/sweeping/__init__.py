"""A sweep from settings to table."""
