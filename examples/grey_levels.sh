#!/bin/sh
# 8-bit images, grey or colour, through convolutions, in bits per dimension.
#
# Usage: grey_levels.sh DATASET, an .npz with train and test (images, height, width[, channels]), or
# a TFDS name such as fashion_mnist.
# Running time: about a minute and a half on two CPU cores for 10,000 images of 28 x 28.
# Expect: for the first 10,000 images of Fashion-MNIST, R + D between 3.7 and 3.9 bits per
# dimension, where a uniform distribution has 8. Samples turn from noise to blurred garments as
# beta grows.
set -eu
rd-sweep runs/grey --dataset "$1" --encoder conv --decoder deconv --channels 16,32 \
    --likelihood discretized-logistic --latents 32 --betas 0.1:10:log4 --steps 1500
rd-plot runs/grey -o runs/grey/curve.png --units bits-per-dim
rd-plot runs/grey -o runs/grey/gallery.png --kind gallery
