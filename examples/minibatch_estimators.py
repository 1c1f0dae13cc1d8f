"""I(n;z) as minibatches estimate it, as rd.measure does, and the truth.

Running time: 6 seconds.
Expect: the table at the end of this text.

    python examples/minibatch_estimators.py

One encoder is `torch_vae.npz`, exported from PyTorch; the other has forgotten its images: every
posterior is N(0, I), and I(n;z) is 0. The formulas are those of projects that are widely used:

- minibatch weighted sampling (Chen et al. 2018, the default of beta-TCVAE and of pythae) divides
  the sum over a batch of B images by N B, as if no image were its own;
- minibatch stratified sampling (an option of beta-TCVAE) gives the own image its weight 1/N, but as
  it is published its weights run down a column and not along the diagonal;
- the mixture of the batch (He et al. 2019 and many others) is a bound: at most log B. With the
  entropy of the posterior in closed form beside it (`calc_mi` of He et al.) it varies more, and can
  be negative.

In nats, with the standard deviation over batches (of rd.measure the standard error):

                         trained     collapsed
    truth             4.74 ±0.01    0.00 ±0.00
    rd.measure        4.74 ±0.03    0.00 ±0.00
    weighted          9.70 ±0.10    5.89 ±0.00
    stratified        3.82 ±0.10    0.00 ±0.00
    mixture of batch  3.81 ±0.10    0.00 ±0.00
    with entropy      3.82 ±0.20    0.00 ±0.20
"""

from pathlib import Path

import numpy as np

import ratedistortion as rd

BATCH, DRAWS = 64, 200
FILE = Path(__file__).parent / "torch_vae.npz"


def log_normal(code, mean, scale):
    """log q(z_i|x_j) at [i, j]."""
    away = (code[:, None] - mean[None]) / scale[None]
    return (-0.5 * away**2 - np.log(scale)[None] - 0.5 * np.log(2 * np.pi)).sum(axis=2)


def log_sum(logs):
    """log of the sum of the exponentials of each row."""
    most = logs.max(axis=1)
    return most + np.log(np.exp(logs - most[:, None]).sum(axis=1))


def stratified_weights(count):
    """As they are published: the first column, and not the diagonal, has the weight 1/N."""
    others = BATCH - 1
    weights = np.full((BATCH, BATCH), 1 / others)
    rest = (count - others) / (count * others)
    weights.reshape(-1)[:: others + 1] = 1 / count
    weights.reshape(-1)[1 :: others + 1] = rest
    weights[others - 1, 0] = rest
    return weights


def minibatch_estimates(mean, scale):
    """Each estimate: its mean and standard deviation over batches."""
    chance, (count, latents) = np.random.default_rng(0), mean.shape
    found = []
    for _ in range(DRAWS):
        rows = chance.choice(count, BATCH, replace=False)
        m, s = mean[rows], scale[rows]
        code = m + s * chance.normal(size=m.shape)
        log_q = log_normal(code, m, s)
        own = np.diagonal(log_q)
        weighted = log_sum(log_q) - np.log(BATCH * count)
        stratified = log_sum(log_q + np.log(stratified_weights(count)))
        mixture = log_sum(log_q) - np.log(BATCH)
        entropy = -0.5 * latents * (1 + np.log(2 * np.pi)) - np.log(s).sum(axis=1).mean()
        found.append(
            [
                (own - weighted).mean(),
                (own - stratified).mean(),
                (own - mixture).mean(),
                entropy - mixture.mean(),
            ]
        )
    return np.mean(found, axis=0), np.std(found, axis=0)


def truth(mean, scale, draws=40):
    """I(n;z) by all N posteriors and many codes of each, in NumPy."""
    chance, found = np.random.default_rng(1), []
    for _ in range(draws):
        code = mean + scale * chance.normal(size=mean.shape)
        log_q = log_normal(code, mean, scale)
        found.append((np.diagonal(log_q) - log_sum(log_q) + np.log(len(mean))).mean())
    return np.mean(found), np.std(found) / np.sqrt(draws)


def main():
    """Prints both encoders."""
    with np.load(FILE) as exported:
        mean, scale = exported["mean"], np.exp(exported["log_var"] / 2)
    encoders = {"trained": (mean, scale), "collapsed": (0 * mean, np.ones_like(scale))}
    names = ("weighted", "stratified", "mixture of batch", "with entropy")
    lines = {name: [] for name in ("truth", "rd.measure", *names)}
    for mean, scale in encoders.values():
        (row,) = rd.measure(mean=mean, scale=scale, prior="standard").to_dict("records")
        numbers = {
            "truth": truth(mean, scale),
            "rd.measure": (row["mutual_information"], row["mutual_information_se"]),
            **dict(zip(names, zip(*minibatch_estimates(mean, scale), strict=True), strict=True)),
        }
        for name, (value, spread) in numbers.items():
            lines[name].append(f"{value + 0:z.2f} ±{spread:.2f}")
    print(" " * 16 + "".join(f"{name:>14}" for name in encoders))
    for name, cells in lines.items():
        print(f"{name:16}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    main()
