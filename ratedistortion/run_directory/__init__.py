"""The run directory: written under a lock, read as untrusted files."""
