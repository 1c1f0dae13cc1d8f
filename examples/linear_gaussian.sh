#!/bin/sh
# A source whose rate-distortion function is known, and a model that can reach it.
#
# Running time: about 40 seconds on two CPU cores.
# Expect: the four points on the dashed curve (reverse water-filling), within 1% of
# R 5.868, 3.454, 2.414, 1.609 and D 0.493, 1.093, 1.843, 2.968 nats; marginal KL within 0.01 of 0,
# its value at the optimum; so I(n;z) = R within its error.
set -eu
rd-sweep runs/linear --dataset gaussian:4,1,0.25 --encoder linear --decoder linear \
    --likelihood gaussian --likelihood-scale 0.4472136 --latents 3 --betas 0.1,0.5,1,2
rd-plot runs/linear -o runs/linear/curve.png
