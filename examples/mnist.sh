#!/bin/sh
# The curve in the README: statically binarised MNIST at twelve values of beta.
#
# Running time: about 4 minutes on two CPU cores, less than 2 GiB of memory.
# Expect: R + D lowest, near 104 nats, at beta = 1.5; I(n;z) = log 10,000 = 9.21 nats, its
# ceiling, for every smaller beta, while R goes on rising to 414: the difference is marginal KL.
# Needs: TFDS's binarized_mnist, prepared, in the folder given as the first argument
# (default: ~/tensorflow_datasets).
set -eu
here=$(dirname "$0")
rd-sweep runs/mnist --config "$here/mnist.toml" --data-dir "${1:-$HOME/tensorflow_datasets}"
for kind in rate-distortion information gallery training; do
    rd-plot runs/mnist -o "runs/mnist/$kind.png" --kind "$kind"
done
