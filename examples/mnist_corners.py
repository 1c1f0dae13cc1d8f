"""The curve in the README, beside the two corners that Alemi et al. (2018) report.

    python examples/mnist_corners.py RUN_DIR... FIGURE.png

RUN_DIRs are those of mnist.sh and, if you like, of recipes in `field/`.

Running time: 3 seconds.
Expect: the curves of `rd-plot`, with stars at (R, D) = (156, 4.8), an autoencoder, and (0, 80.6),
an autodecoder: the ends that "Fixing a Broken ELBO" quotes for static MNIST.
"""

import sys

import ratedistortion as rd

CORNERS = {"autoencoder": (156, 4.8), "autodecoder": (0, 80.6)}

*run_dirs, path = sys.argv[1:]
figure = rd.figure({run_dir.rpartition("/")[2]: rd.read(run_dir) for run_dir in run_dirs})
axes = figure.axes[0]
for name, corner in CORNERS.items():
    axes.plot(*corner, "*", markersize=6, color="tab:red", clip_on=False, zorder=9)
    place = {"xytext": (6, 4 if corner[0] == 0 else -7), "textcoords": "offset points"}
    axes.annotate(f"{name} of Alemi et al.", corner, fontsize=5, **place)
figure.savefig(path, dpi=200)
