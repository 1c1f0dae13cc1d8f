"""Stand-ins for arrays of libraries that the tests do not install."""


class TorchBfloat16:
    """Fails as a tensor of torch 2.13 does whose numbers NumPy has no kind for."""

    dtype = "torch.bfloat16"

    def __array__(self, *_, **__):
        raise TypeError("Got unsupported ScalarType BFloat16")
