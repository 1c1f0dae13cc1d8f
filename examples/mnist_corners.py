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
for name, (rate, distortion) in CORNERS.items():
    axes.plot(rate, distortion, "*", markersize=11, color="black", clip_on=False, zorder=9)
    axes.annotate(
        f"{name}, Alemi et al. 2018", (rate, distortion), (7, 5), textcoords="offset points"
    )
figure.savefig(path, dpi=200)
