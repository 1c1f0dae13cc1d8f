"""The table of settings: each with its type, default, accepted values and help."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ratedistortion.errors import SettingsError
from ratedistortion.settings import code
from ratedistortion.settings.fields import (
    Arrays,
    Choice,
    Flag,
    Grid,
    Member,
    Number,
    NumberOr,
    Seeds,
    Setting,
    Shape,
    Source,
    Text,
    Whole,
    WholeOrAuto,
    Wholes,
    setting,
)
from ratedistortion.settings.grid import MAX_RUNS, parse_grid

BATCHING = ("auto", "vmap", "map")
LEVELLED = ("discretized-logistic", "categorical")  # likelihoods of grey levels

# These say how a sweep is carried out, not what it computes: a run directory is continued
# whatever they are, except that a stored chunk plan wins.
ENGINE_FIELDS = ("device", "batching", "runs_at_once", "keep_models", "data_dir", "download")
# These say what is measured of a model that is trained: `remeasured` changes them.
MEASURING_FIELDS = ("codes", "iwae", "save_posteriors")

_BETAS = "0.01:10:log12"


@dataclasses.dataclass(frozen=True)
class Settings:
    """A sweep over beta of one latent-variable model on one data set.

    The loss of every run is D + beta R, in nats per image; `target_rates` stand in for `betas`,
    and beta is then found with R. Fields have the names of the options of `rd-sweep`, with
    underscores; `rd-sweep --help` says what each does. `dataset` may also be a path, an array, a
    DataFrame, a set of Hugging Face's `datasets`, (train, test), or a dict of `train` and `test`
    to these; the settings then hold a name made of the content. `encoder`, `decoder`, `prior` and
    `likelihood` may be `FILE.py:NAME` or `package.module:NAME`, a function of your own; the
    settings then hold its name with the SHA-256 of its source. Stored settings keep the order of
    the fields.

    Three defaults depend on other fields. `epochs` is 20, and 100 for the digits, which are few;
    with `steps` there is none. `latents` is 256, or as many as x has dimensions if fewer, and
    `binarize` is dynamic for grey images with the bernoulli likelihood, which needs values that are
    0 or 1, and else none; both stay None until the data are read.

    Raises:
        SettingsError: On construction, if a value cannot be used; the text names the field, what
            was expected and what was got.
    """

    # fmt: off
    dataset: Any = setting(
        None, Source(), "Data", "NAME_OR_PATH",
        "digits (embedded), a TFDS name, an .npz or .npy file, a folder of idx files, "
        "hf:imagefolder:DIR, hf:parquet:PATH or the like, "
        "gaussian:V1,V2,..., bernoulli:P,DIMENSIONS or patterns:K,DIMENSIONS,FLIP.", shown="digits")
    data_dir: str | None = setting(
        None, Text(), "Data", "DIR", "Where prepared TFDS sets are.",
        shown="$TFDS_DATA_DIR or ~/tensorflow_datasets")
    download: bool = setting(
        False, Flag(), "Data", "", "Let TFDS, or the library datasets, fetch a missing set.")
    binarize: str | None = setting(
        None, Choice(("none", "threshold", "static", "dynamic")), "Data", "",
        "static draws every pixel once, dynamic afresh at every step.",
        shown="dynamic for grey images with the bernoulli likelihood, else none")
    arrays: dict[str, str] | None = setting(
        None, Arrays(), "Data", "train=NAME,test=NAME",
        "Which arrays of a file, or splits of a set, are the data.", shown="by their names")
    layout: str | None = setting(
        None, Text(), "Data", "AXES",
        "What the axes of the arrays mean: ND, NHW, NHWC, NCHW, HWCN or the like.",
        shown="found out where it is certain")
    shape: tuple[int, ...] | None = setting(
        None, Shape(), "Data", "HxW[xC]", "Vectors are images of this shape, row by row.")
    scale: str | float | None = setting(
        None, NumberOr(), "Data", "MAX|none",
        "Divide the numbers by MAX, or by nothing.",
        shown="1, 255 or 65535 for images that reach it; vectors are standardised by column")
    test_fraction: float | None = setting(
        None, Number(), "Data", "SHARE",
        "Share of the test split, of data that have none.", shown="a sixth")
    max_examples: int | None = setting(
        None, Whole(), "Data", "COUNT", "Use COUNT examples of each split, drawn at random.")
    first: bool = setting(
        False, Flag(), "Data", "", "Use the first --max-examples instead.")
    betas: tuple[float, ...] = setting(
        parse_grid(_BETAS), Grid(), "Grid", "GRID",
        "Weights of the rate in the loss D + beta R: 0.1,1,4 or 0.01:10:log16 or 0:4:lin5 or "
        "@FILE.", shown=_BETAS)
    target_rates: tuple[float, ...] = setting(
        (), Grid(may_be_empty=True), "Grid", "GRID",
        "Rates in nats to meet instead, each with the beta that it takes: even points where R "
        "jumps with beta.")
    seeds: Any = setting(  # a whole number, or the text of a range
        1, Seeds(), "Grid", "COUNT|FIRST:END", "Runs per beta: 3 are 0:3, the seeds 0, 1 and 2.")
    encoder: str = setting("mlp", Member(), "Model", "", "Family of q(z|x).")
    decoder: str = setting("mlp", Member(), "Model", "", "Family of p(x|z).")
    prior: str = setting("standard", Member(), "Model", "", "Family of p(z).")
    likelihood: str = setting(
        "bernoulli", Member(), "Model", "", "Distribution of x given the decoder's output.")
    likelihood_scale: str | float = setting(
        1.0, NumberOr(word="learned"), "Model", "SCALE|learned",
        "Standard deviation of the gaussian likelihood; learned: every run uses that of least D.")
    latents: Any = setting(  # a whole number or None; where models are built always a number
        None, WholeOrAuto(), "Model", "COUNT|auto", "Dimensions of z.",
        shown="256, or as many as x has where these are fewer")
    hidden: tuple[int, ...] = setting((256, 256), Wholes(), "Model", "WIDTHS", "Dense layers.")
    channels: tuple[int, ...] = setting((32, 64), Wholes(), "Model", "COUNTS", "Convolutions.")
    strides: tuple[int, ...] = setting((2, 2), Wholes(), "Model", "STEPS", "Of the convolutions.")
    components: int = setting(100, Whole(), "Model", "COUNT", "Of the mixture and vamp priors.")
    levels: int = setting(
        256, Whole(2), "Model", "COUNT",
        "Grey levels of discretized-logistic and categorical, at most the data's own.")
    start: str = setting(
        "linear", Choice(("linear", "random")), "Training", "",
        "linear: each run starts at the optimum of the linear model for its beta.")
    epochs: int | None = setting(
        None, Whole(), "Training", "COUNT", "Passes over the data.",
        shown="20, 100 for the digits")
    steps: int | None = setting(None, Whole(), "Training", "COUNT", "Steps, instead of --epochs.")
    batch_size: int = setting(100, Whole(), "Training", "COUNT", "Images per step.")
    learning_rate: float = setting(
        4e-3, Number(), "Training", "RATE",
        "Of Adam at the start; it falls to zero along a cosine.")
    warmup: int = setting(
        0, Whole(0), "Training", "STEPS", "Steps over which beta rises linearly from 0.")
    free_bits: float = setting(
        0.0, Number(or_zero=True), "Training", "NATS",
        "Nats of rate per latent that cost nothing in the loss.")
    select: str = setting(
        "last", Choice(("last", "best")), "Training", "",
        "best: the parameters of least loss on the validation split, or else on a tenth of the "
        "training images, held out.")
    # One code has no spread, so there are at least two.
    codes: int = setting(
        10_000, Whole(2), "Measuring", "COUNT",
        "Monte Carlo draws per split, at most one per image, each held against all N posteriors.")
    iwae: int = setting(
        0, Whole(0), "Measuring", "K",
        "Also bound -log p(x) of as many images as --codes, with K samples each.", shown="0, off")
    save_posteriors: bool = setting(
        False, Flag(), "Measuring", "",
        "Keep mean, scale, code and noise of every image, and the data, in RUN_DIR/posteriors.")
    device: str = setting("auto", Choice(("auto", "cpu", "gpu")), "Engine", "", "Where to compute.")
    batching: str = setting(
        "auto", Choice(BATCHING), "Engine", "",
        "vmap: the runs of a device at once; map: one after another.")
    runs_at_once: int | None = setting(
        None, WholeOrAuto(), "Engine", "auto|K", "Runs in a chunk.", shown="auto")
    keep_models: str = setting(
        "all", Choice(("all", "none")), "Engine", "",
        "Which runs' parameters are kept in RUN_DIR/models.")
    precision: str = setting(
        "default", Choice(("default", "high", "highest")), "Engine", "",
        "Of matrix products in training; measuring is exact.")
    deterministic: bool = setting(
        False, Flag(), "Engine", "",
        "The same bits from the same command on a GPU too, where it can be slower.")
    # fmt: on

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            self._set(name, field.check(name, getattr(self, name)))
        # A first try without options must work and be worth looking at. The digits are grey and
        # few: they take many epochs, and pixels drawn afresh at every step prevent overfitting.
        if self.dataset is None:
            self._set("dataset", "digits")
        digits = self.dataset == "digits"
        if self.binarize is None and (digits or self.likelihood != "bernoulli"):
            self._set("binarize", "dynamic" if self.likelihood == "bernoulli" else "none")
        if self.test_fraction is not None and self.test_fraction >= 1:
            raise SettingsError(f"test_fraction must be below 1: got {self.test_fraction:g}.")
        if self.first and self.max_examples is None:
            raise SettingsError("first needs max_examples: say how many of the first examples.")
        if self.epochs is not None and self.steps is not None:
            raise SettingsError("epochs and steps exclude each other: give one of them.")
        if self.epochs is None and self.steps is None:
            self._set("epochs", 100 if digits else 20)
        if self.likelihood_scale == "learned" and self.likelihood != "gaussian":
            raise SettingsError(
                "likelihood_scale learned is for the gaussian likelihood: got"
                f" {code.shown(self.likelihood)}; leave it out."
            )
        if self.target_rates and self.free_bits:
            raise SettingsError(
                "free_bits and target_rates exclude each other: bits that the loss does not count"
                " leave it no weight that could reach a rate."
            )
        grid = "target_rates" if self.target_rates else "betas"
        points = len(getattr(self, grid))
        seeds = len(self.seed_range)
        if points * seeds > MAX_RUNS:
            raise SettingsError(
                f"{grid} and seeds: a sweep has at most {MAX_RUNS:,} runs: got {points:,}"
                f" times {seeds:,}."
            )

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def seed_range(self) -> range:
        """The seeds of every beta or target rate."""
        first, _, end = str(self.seeds).rpartition(":")
        return range(int(first or 0), int(end))

    def sha256(self) -> str:
        """Hash of all that decides the numbers; `ENGINE_FIELDS` are left out.

        Returns:
            64 hexadecimal digits.
        """
        return values_sha256(self.as_json())

    def loss(self) -> str:
        """What every run minimises, as a formula.

        Returns:
            Text in which D and R are means over a minibatch, in nats per image.
        """
        formula = "D + beta*R"
        if self.target_rates:
            formula = "D subject to R = target_rate"
        elif self.free_bits:
            formula = f"D + beta*sum_i max(R_i, {self.free_bits!r}), R_i the rate of latent i"
        if self.likelihood_scale == "learned":
            formula += ", the likelihood's scale being that of least D of each minibatch"
        rising = f", beta rising linearly over {self.warmup} steps"
        return formula + rising * bool(self.warmup)

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON can hold them.

        Returns:
            Field name -> value, in the order of the fields; `from_mapping` reads it back.
        """
        return json.loads(json.dumps(dataclasses.asdict(self)))


FIELDS: dict[str, Setting] = {
    field.name: field.metadata["setting"] for field in dataclasses.fields(Settings)
}


def values_sha256(values: Mapping[str, Any]) -> str:
    """Hash of settings as they are stored, by the rule of `Settings.sha256`.

    Args:
        values: Field name -> value, as `Settings.as_json` gives it.

    Returns:
        64 hexadecimal digits, whatever the order of the names and the values of `ENGINE_FIELDS`.
    """
    kept = {name: value for name, value in values.items() if name not in ENGINE_FIELDS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
