"""Latent-variable models as pytrees and pure functions; Flax is not seen outside this folder.

Nothing is imported here, so that the families' names can be read without JAX.
"""
