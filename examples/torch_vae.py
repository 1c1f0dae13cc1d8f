"""A VAE in PyTorch, trained here on the digits, and exported for rd-measure.

Running time: 20 seconds on two cores; measuring takes 3.
Expect: what the last lines here show, with the arrays that lie beside this file:

    python examples/torch_vae.py                  # writes examples/torch_vae.npz; needs torch
    rd-measure examples/torch_vae.npz --prior standard
    test split, nats per image
        label  beta  seed           R            D        -ELBO       I(n;z)     KL(q|p)
    torch_vae     1     0   6.11 ±0.05  12.39 ±0.30  18.50 ±0.30   4.72 ±0.03   1.30 ±0.07

Nothing of ratedistortion is imported: the file of arrays is all that the two have in common.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).parents[1]
LATENTS, WIDTH, EPOCHS, TEST = 6, 128, 200, 360

torch.manual_seed(0)
grey = np.load(ROOT / "ratedistortion" / "datasets" / "digits.npz")["images"].reshape(-1, 64)
images = torch.tensor((grey > 7).astype(np.float32))
train, test = images[:-TEST], images[-TEST:]

encoder = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2 * LATENTS))
decoder = nn.Sequential(nn.Linear(LATENTS, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 64))
parameters = [*encoder.parameters(), *decoder.parameters()]
optimizer = torch.optim.Adam(parameters, lr=2e-3)


def one_code(x):
    """Mean, log variance, code and -log p(x|z) in nats, for every image."""
    mean, log_var = encoder(x).chunk(2, dim=1)
    code = mean + torch.exp(log_var / 2) * torch.randn_like(mean)
    losses = nn.functional.binary_cross_entropy_with_logits(decoder(code), x, reduction="none")
    return mean, log_var, code, losses.sum(dim=1)


for _ in range(EPOCHS):
    for x in train[torch.randperm(len(train))].split(100):
        mean, log_var, _, distortion = one_code(x)
        rate = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(dim=1)
        optimizer.zero_grad()
        (distortion + rate).mean().backward()
        optimizer.step()

with torch.no_grad():
    names = ("mean", "log_var", "code", "distortion")
    arrays = {name: part.numpy() for name, part in zip(names, one_code(test), strict=True)}
np.savez(ROOT / "examples" / "torch_vae.npz", **arrays, beta=1.0, dimensions=64, dataset="digits")
