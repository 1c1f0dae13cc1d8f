"""Use a model that a sweep has kept without JAX and without this package: NumPy and safetensors.

    rd-sweep runs/digits
    python examples/use_parameters.py runs/digits
    python examples/use_parameters.py runs/digits --torch

rebuilds the `mlp` encoder and decoder of every model in runs/digits/models, reconstructs the
images of the gallery, and compares them with the sweep's own reconstructions, in images.npz. It
needs NumPy and safetensors, for `--torch` PyTorch too. ratedistortion/models/README.md explains the
names of the arrays.

Running time: a minute for the sweep on two CPU cores, then a second.
Expect: for each model a line like `models/beta=0.01,seed=0.safetensors: differs by 3e-07 at most`.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file


def facts_of(file):
    """What the sweep says of a model: settings, beta, seed, shape of the data and more."""
    with safe_open(file, "np") as opened:
        return json.loads(opened.metadata()["ratedistortion"])


def layers(p, network):
    """Weights and biases of a network of dense layers, from its input to its output."""
    count = len([name for name in p if name.startswith(f"{network}.layers.")]) // 2
    names = [f"{network}.layers.{n}" for n in range(count)]
    return [(p[f"{name}.kernel"], p[f"{name}.bias"]) for name in names]


# With NumPy.


def mlp(x, layers):
    """Dense layers with sigmoid linear units between them."""
    *hidden, (kernel, bias) = layers
    for weights, shift in hidden:
        x = x @ weights + shift
        x = x / (1 + np.exp(-x))
    return x @ kernel + bias


def encode(p, x):
    """The mean of q(z|x) of flat images: the linear map and the network beside it."""
    x = x - p["skip.centre"]
    mean, _ = np.split(mlp(x, layers(p, "encoder.network")), 2, axis=1)
    return (mean + x @ p["skip.encoder"]) * p["skip.open"]


def decode(p, z):
    """The probability of every pixel: the linear map and the network beside it."""
    z = z * p["skip.open"]
    logits = mlp(z, layers(p, "decoder")) + z @ p["skip.decoder"] + p["skip.bias"]
    return 1 / (1 + np.exp(-logits))


# With PyTorch.


def torch_mlp(torch, layers):
    """The same network as a module of PyTorch's."""
    parts = []
    for kernel, bias in layers:
        dense = torch.nn.Linear(*kernel.shape)
        dense.weight.data, dense.bias.data = kernel.T, bias  # PyTorch has the output first
        parts += [dense, torch.nn.SiLU()]
    return torch.nn.Sequential(*parts[:-1])


def torch_reconstructions(file, x):
    """The reconstructions of flat images, by a model that could be trained further."""
    import torch
    from safetensors.torch import load_file

    p, x = load_file(file), torch.from_numpy(x)
    encoder = torch_mlp(torch, layers(p, "encoder.network"))
    decoder = torch_mlp(torch, layers(p, "decoder"))
    with torch.no_grad():
        x = x - p["skip.centre"]
        mean, _ = encoder(x).chunk(2, dim=1)
        z = (mean + x @ p["skip.encoder"]) * p["skip.open"]
        return torch.sigmoid(decoder(z) + z @ p["skip.decoder"] + p["skip.bias"]).numpy()


def main(run_dir, *options):
    """Compares the reconstructions of every model with those of the sweep."""
    images = np.load(run_dir / "images.npz")
    x = images["originals"].reshape(len(images["originals"]), -1).astype(np.float32)
    for file in sorted(run_dir.glob("models/*.safetensors")):
        facts = facts_of(file)
        settings = facts["settings"]
        if (settings["encoder"], settings["decoder"]) != ("mlp", "mlp"):
            sys.exit(f"{file}: this example is of the encoder and decoder mlp.")
        if settings["likelihood"] != "bernoulli":
            sys.exit(f"{file}: this example is of the bernoulli likelihood.")
        own = (images["beta"] == facts["beta"]) & (images["seed"] == facts["seed"])
        expected = images["reconstructions"][own][0].reshape(x.shape)
        if "--torch" in options:
            found = torch_reconstructions(file, x)
        else:
            p = load_file(file)
            found = decode(p, encode(p, x))
        print(f"models/{file.name}: differs by {np.abs(found - expected).max():.0e} at most")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
