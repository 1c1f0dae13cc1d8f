#!/bin/sh
# A table of measurements: all columns of numbers of a Parquet file, as vectors.
#
# Running time: about half a minute for 10,000 rows of 20 columns on two CPU cores.
# Expect: as the first line, how many rows and columns were read, their range, and the columns that are
# not used (labels and texts). The networks see every column centred and scaled; R and D are those of
# the numbers themselves, with one likelihood scale for all columns, so give them comparable units.
# Needs: `pip install 'ratedistortion[hf]'`, and the file as the first argument. Files of images, as on
# the hub of Hugging Face, are read in the same way.
set -eu
rd-sweep runs/table --dataset "hf:parquet:${1:?give a Parquet file}" \
    --likelihood gaussian --likelihood-scale 0.5 --hidden 64,64 --latents 8 --epochs 20
rd-plot runs/table --kind data
rd-plot runs/table
