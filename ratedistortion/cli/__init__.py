"""The commands: options in, one call, text out."""
