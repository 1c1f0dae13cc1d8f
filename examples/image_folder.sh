#!/bin/sh
# Your own photographs: a folder of images, in grey levels, with a convolutional model.
#
# Running time: about a minute for 2,000 images of 28 x 28 pixels on two CPU cores.
# Expect: as the first line, what was read: how many images, their size, their scale and the labels
# that are not used; then a curve of twelve points, printed and drawn.
# Needs: `pip install 'ratedistortion[hf]'`, and a folder as the first argument that holds images of
# one size, directly or in one folder for each class, or in `train` and `test` with these inside.
set -eu
rd-sweep runs/photos --dataset "hf:imagefolder:${1:?give a folder of images}" \
    --encoder conv --decoder deconv --likelihood discretized-logistic --epochs 5
rd-plot runs/photos --kind data
rd-plot runs/photos
rd-plot runs/photos --kind gallery
