"""Encoders of other programs: what these export of their posteriors becomes rows of the table."""
