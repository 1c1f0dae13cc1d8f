#!/bin/sh
# The combinations of "Fixing a Broken ELBO" (Alemi et al., 2018): encoder, decoder and marginal,
# each simple or complex, on statically binarised MNIST, in one figure.
#
# Usage: broken_elbo.sh [laptop|gpu] [folder of TFDS sets]
# Running time: about 15 minutes on two CPU cores; the sizes for a GPU have not been timed.
# Expect: two bundles of curves. With independent pixels (decoder mlp) D rises to 206 nats at R = 0,
# with pixels that depend on each other (made) it rises to 97 only, and from beta 3 on the code is
# ignored. In each bundle the learned marginal (maf) has the lowest curve at large R, where most of
# R is marginal KL.
set -eu
here=$(dirname "$0")
size=${1:-laptop}
larger=
[ "$size" = laptop ] || larger="--hidden 512,512 --latents 64 --epochs 100 --betas 0.05:10:log16"
runs=
for recipe in "$here"/broken_elbo/*.toml; do
    run=runs/broken_elbo/$(basename "$recipe" .toml)
    # shellcheck disable=SC2086 -- a list of options
    rd-sweep "$run" --config "$recipe" --data-dir "${2:-$HOME/tensorflow_datasets}" $larger
    runs="$runs $run"
done
# shellcheck disable=SC2086
rd-plot $runs -o runs/broken_elbo/curves.png
