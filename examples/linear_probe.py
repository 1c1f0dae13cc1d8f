"""Which digit it is, by a linear probe on the codes of the model at the knee.

Running time: 15 seconds on two cores.
Expect: three of four digits from 8 latents, without a label in training; a model with a large beta
forgets which digit it is. Labels are in `digits_labels.npy` beside this file.

    python examples/linear_probe.py [RUN_DIR]

    beta      R   accuracy
    0.1     18.1     76.8%
    0.316   11.6     75.8%
    1        6.0     75.1%  knee
    3.16     0.9     65.7%
    10       0.0     48.5%
"""

import sys
from pathlib import Path

import numpy as np

import ratedistortion as rd

HERE = Path(__file__).parent
TEST = 297
SETTINGS = {
    "betas": (0.1, 0.316228, 1.0, 3.16228, 10.0),
    "latents": 8,
    "hidden": (64,),
    "epochs": 60,
}


def probe(train, train_labels, test, test_labels):
    """The share of test images whose digit a linear map of their codes gives (ridge regression)."""
    columns = [np.column_stack([part, np.ones(len(part))]) for part in (train, test)]
    targets = np.eye(10)[train_labels]
    gram = columns[0].T @ columns[0] + np.eye(columns[0].shape[1])
    found = columns[1] @ np.linalg.solve(gram, columns[0].T @ targets)
    return np.mean(found.argmax(axis=1) == test_labels)


def main(run_dir, **changed):
    """Sweeps, loads models, and prints how much of the label each keeps."""
    package = Path(rd.__file__).parent
    with np.load(package / "datasets" / "digits.npz") as file:
        images = (file["images"] > 7).astype(np.uint8)
    labels = np.load(HERE / "digits_labels.npy")
    train, test = images[:-TEST], images[-TEST:]
    rd.sweep(rd.Settings(dataset=(train, test), **(SETTINGS | changed)), run_dir)
    runs, knee = rd.load(run_dir), rd.load(run_dir, "knee")
    print("beta      R   accuracy")
    for beta in runs["beta"]:
        model = rd.load(run_dir, beta=beta, seed=0)
        codes = [model.encode(part)[0] for part in (train, test)]
        accuracy = probe(codes[0], labels[:-TEST], codes[1], labels[-TEST:])
        rate = runs.loc[runs["beta"] == beta, "rate"].iloc[0]
        note = "  knee" if model.beta == knee.beta else ""
        print(f"{beta:<6.3g} {rate:5.1f}   {accuracy:7.1%}{note}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["runs/linear_probe"]))
