"""The options of `rd-sweep` that are settings, as a table."""

from collections.abc import Callable
from typing import Any

import click

from ratedistortion.cli.groups import option
from ratedistortion.models.decoders import DECODERS
from ratedistortion.models.encoders import ENCODERS
from ratedistortion.models.likelihoods import LIKELIHOODS
from ratedistortion.models.priors import PRIORS
from ratedistortion.settings import BATCHING, BINARIZE, DEVICES, PRECISIONS, SELECT

# Group, name, kind (a type, or the choices there are), what stands for the value, help.
_OPTIONS: tuple[tuple[str, str, Any, str, str], ...] = (
    (
        "Data", "--dataset", str, "NAME_OR_PATH",
        "digits (embedded), a TFDS name, an .npz or .npy file, a folder of idx files, "
        "gaussian:V1,V2,..., bernoulli:P,DIMENSIONS or patterns:K,DIMENSIONS,FLIP."
        "  [default: digits, with --binarize dynamic]",
    ),
    (
        "Data", "--data-dir", str, "DIR",
        "Where prepared TFDS sets are."
        "  [default: $TFDS_DATA_DIR or ~/tensorflow_datasets]",
    ),
    ("Data", "--download", bool, "", "Let TFDS download and prepare a missing set."),
    (
        "Data", "--binarize", BINARIZE, "",
        "static draws every pixel once, dynamic afresh at every step.  [default: none]",
    ),
    ("Data", "--max-examples", int, "COUNT", "Use the first COUNT images."),
    (
        "Grid", "--betas", str, "GRID",
        "Weights of the rate in the loss D + beta R: 0.1,1,4 or 0.01:10:log16 or "
        "0:4:lin5 or @FILE."
        "  [default: 0.01:10:log12]",
    ),
    (
        "Grid", "--target-rates", str, "GRID",
        "Rates in nats to meet instead, each with the beta that it takes: even points where R "
        "jumps with beta.",
    ),
    ("Grid", "--seeds", int, "COUNT", "Runs per beta.  [default: 1]"),
    ("Model", "--encoder", ENCODERS, "", "Family of q(z|x).  [default: mlp]"),
    ("Model", "--decoder", DECODERS, "", "Family of p(x|z).  [default: mlp]"),
    ("Model", "--prior", PRIORS, "", "Family of p(z).  [default: standard]"),
    (
        "Model", "--likelihood", LIKELIHOODS, "",
        "Distribution of x given the decoder's output.  [default: bernoulli]",
    ),
    (
        "Model", "--likelihood-scale", float, "SCALE",
        "Standard deviation of the gaussian likelihood.  [default: 1]",
    ),
    ("Model", "--latents", int, "COUNT", "Dimensions of z.  [default: 32]"),
    ("Model", "--hidden", str, "WIDTHS", "Dense layers.  [default: 256,256]"),
    ("Model", "--channels", str, "COUNTS", "Convolutions.  [default: 32,64]"),
    ("Model", "--strides", str, "STEPS", "Of the convolutions.  [default: 2,2]"),
    ("Model", "--components", int, "COUNT", "Of the mixture and vamp priors.  [default: 100]"),
    (
        "Model", "--levels", int, "COUNT",
        "Grey levels of the last two likelihoods, at most the data's own.  [default: 256]",
    ),
    (
        "Training", "--epochs", int, "COUNT",
        "Passes over the data.  [default: 20, 100 without --dataset]",
    ),
    ("Training", "--steps", int, "COUNT", "Steps, instead of --epochs."),
    ("Training", "--batch-size", int, "COUNT", "Images a step.  [default: 100]"),
    (
        "Training", "--learning-rate", float, "RATE",
        "Of Adam at the start; it falls to zero along a cosine.  [default: 0.002]",
    ),
    (
        "Training", "--warmup", int, "STEPS",
        "Steps over which beta rises linearly from 0.  [default: 0]",
    ),
    (
        "Training", "--free-bits", float, "NATS",
        "Rate of every latent that the loss does not count.  [default: 0]",
    ),
    (
        "Training", "--select", SELECT, "",
        "best: the parameters of least loss on a tenth of the images, held out of "
        "training."
        "  [default: last]",
    ),
    (
        "Measuring", "--codes", int, "COUNT",
        "Monte Carlo draws per split, one an image at most, each held against all N posteriors."
        "  [default: 10000]",
    ),
    (
        "Measuring", "--iwae", int, "K",
        "Also bound -log p(x) with K importance samples of as many images."
        "  [default: 0, off]",
    ),
    (
        "Measuring", "--save-posteriors", bool, "",
        "Keep mean, scale, code and noise of every image, and the data, in RUN_DIR/posteriors.",
    ),
    ("Engine", "--device", DEVICES, "", "Where to compute.  [default: auto]"),
    (
        "Engine", "--batching", BATCHING, "",
        "vmap: the runs of a device at once; map: one after another.  [default: auto]",
    ),
    ("Engine", "--runs-at-once", str, "auto|K", "Runs in a chunk.  [default: auto]"),
    (
        "Engine", "--precision", PRECISIONS, "",
        "Of matrix products in training; measuring is exact.  [default: default]",
    ),
    (
        "Engine", "--deterministic", bool, "",
        "The same bits from the same command on a GPU too, where it can be slower.",
    ),
)  # fmt: skip


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for every setting, in the order of the table."""
    for group, name, kind, metavar, text in reversed(_OPTIONS):
        details: dict[str, Any] = {"help": text}
        if kind is bool:
            details["is_flag"] = True
        elif isinstance(kind, type):
            details |= {"type": kind, "metavar": metavar}
        else:
            details["type"] = click.Choice(list(kind))
        command = option(group, name, **details)(command)
    return command
