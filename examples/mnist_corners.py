"""The curve in the README, beside both corners: ours, and those that Alemi et al. (2018) report.

    python examples/mnist_corners.py [RUN_DIR] FIGURE.png

RUN_DIR is that of mnist.sh, whose curve is drawn. All other points are those of
`examples/field/results.csv` of statically binarised MNIST.

Running time: 3 seconds.
Expect: hollow squares for the recipes, filled ones for the two corners, and stars at (R, D) =
(156, 4.8), an autoencoder, and (0, 80.6), an autodecoder: the ends that "Fixing a Broken ELBO"
quotes for static MNIST.
"""

import sys
from pathlib import Path

import pandas
from matplotlib.figure import Figure

import ratedistortion as rd

CORNERS = (156, 4.8), (0, 80.6)  # an autoencoder and an autodecoder
PRIORS = {"standard": "tab:blue", "maf": "tab:orange", "mixture": "tab:green", "vamp": "tab:purple"}

*run_dirs, path = sys.argv[1:]
field = pandas.read_csv(Path(__file__).with_name("field") / "results.csv")
field = field[field["dataset"] == "binarized_mnist"]
corners = field[field["recipe"].str.startswith("corner")]
if run_dirs:
    figure = rd.figure(rd.read(run_dirs[0]))
    axes, shown = figure.axes[0], corners
else:
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    axes, shown = figure.subplots(), field
    axes.set(xlim=(-8, 230), ylim=(0, 120), title="static MNIST, 10,000 test images")
    axes.set(xlabel="rate R (nats per image)", ylabel="distortion D (nats per image)")
for name, colour in PRIORS.items():
    own = shown[shown["prior"] == name]
    filled = own["recipe"].str.startswith("corner")
    faces = [colour if corner else "none" for corner in filled]
    label = None if run_dirs else f"prior {name}"
    style = {"marker": "s", "edgecolors": colour, "linewidths": 0.8, "zorder": 8}
    axes.scatter(own["rate"], own["distortion"], 14, faces, label=label, **style)
for corner in CORNERS:
    axes.plot(*corner, "*", markersize=6, color="tab:red", clip_on=False, zorder=9)
    place = {"xytext": (-9 if corner[0] == 0 else 4, -8), "textcoords": "offset points"}
    axes.annotate("Alemi et al.", corner, fontsize=5, color="tab:red", **place)
if not run_dirs:
    axes.legend(frameon=False, fontsize=7)
figure.savefig(path, dpi=200)
