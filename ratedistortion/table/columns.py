"""The columns of the table: names, types, units and descriptions."""

from ratedistortion.table.units import unit_words

NATS = unit_words("nats")

# Each column has a name, a type, a unit and a description. A type that ends in "?" allows null,
# which stands where a run has no such number, for example because it diverged.
TYPED_COLUMNS = (
    ("dataset", "text", "", "data set, as it was asked for"),
    ("split", "text", "", "train or test: the images that the row is measured on"),
    ("beta", "float?", "", "weight of the rate in the loss D + beta R"),
    ("seed", "int", "", "seed of the initial parameters, the minibatches and the noise"),
    ("encoder", "text", "", "family of q(z|x)"),
    ("decoder", "text", "", "family of p(x|z)"),
    ("prior", "text", "", "family of p(z)"),
    ("likelihood", "text", "", "distribution of x given the decoder's output"),
    ("latents", "int?", "dimensions", "dimensions of z"),
    ("dimensions", "int?", "dimensions", "dimensions of x"),
    ("examples", "int", "images", "N, the images of the split"),
    ("steps", "int?", "steps", "training steps that were asked for"),
    ("status", "text", "", "ok; suspect: some of its numbers contradict each other; or diverged"),
    ("diverged_at_step", "int?", "steps", "step at which a run that diverged was frozen"),
    ("rate", "float?", NATS, "R, the mean of KL(q(z|x) || p(z))"),
    ("rate_se", "float?", NATS, "standard error of the rate"),
    ("distortion", "float?", NATS, "D, the mean of -log p(x|z)"),
    ("distortion_se", "float?", NATS, "standard error of the distortion"),
    ("negative_elbo", "float?", NATS, "R + D, an upper bound of the negative log likelihood"),
    ("negative_elbo_se", "float?", NATS, "standard error of R + D"),
    ("mutual_information", "float?", NATS, "I(n;z), index-code mutual information, at most log N"),
    ("mutual_information_se", "float?", NATS, "standard error of I(n;z)"),
    ("mutual_information_lower", "float?", NATS, "lower bound of I(n;z)"),
    ("mutual_information_upper", "float?", NATS, "upper bound of I(n;z)"),
    ("log_examples", "float", NATS, "log N, the ceiling of I(n;z)"),
    ("saturated", "bool?", "", "whether I(n;z) > log N - 1, where N images no longer suffice"),
    ("marginal_kl", "float?", NATS, "KL(q(z) || p(z)) of the aggregate posterior"),
    ("marginal_kl_se", "float?", NATS, "standard error of the marginal KL"),
    ("marginal_kl_gaussian", "float?", NATS, "lower bound of it, from the moments of q(z)"),
    ("identity_residual", "float?", NATS, "R - I(n;z) - marginal KL: 0 within its error"),
    ("population_information_upper", "float?", NATS, "of I(X;Z): R or, if less, leave-one-out"),
    ("active_units", "int?", "dimensions", "latents whose posterior mean varies over the images"),
    ("codes", "int?", "draws", "Monte Carlo draws of z that the row rests on"),
    ("identity_residual_se", "float?", NATS, "standard error of the identity's residual"),
    ("mutual_information_lower_se", "float?", NATS, "standard error of the lower bound of I(n;z)"),
    ("mutual_information_upper_se", "float?", NATS, "standard error of the upper bound of I(n;z)"),
    ("information_kind", "text", "", "exact: I(n;z) against all N posteriors; or bounds only"),
    ("leave_one_out", "float?", NATS, "leave-one-out upper bound of I(X;Z); null where no help"),
    ("leave_one_out_se", "float?", NATS, "standard error of it"),
    ("nll_iwae", "float?", NATS, "importance-weighted upper bound of -log p(x), with --iwae"),
    ("nll_iwae_se", "float?", NATS, "standard error of it"),
    ("target_rate", "float?", NATS, "rate that was asked for; beta is then what it took"),
    ("free_bits", "float?", NATS, "rate of every latent that the loss does not count"),
    ("distortion_mse", "float?", "", "|x - E[x|z]|^2 a dimension, of the gaussian likelihood"),
    ("distortion_mse_se", "float?", "", "standard error of it"),
    ("selected_step", "int?", "steps", "where held-out loss was lowest, with --select best"),
    ("distinct_examples", "int?", "images", "different images of the split; log of it caps I(n;z)"),
    ("failed_checks", "text?", "", "the checks that a suspect row failed, or what stopped a run"),
    ("label", "text?", "", "the curve that a row of `rd-measure` belongs to"),
    ("likelihood_scale", "float?", "", "standard deviation of the gaussian likelihood"),
)  # fmt: skip

COLUMNS = tuple(name for name, *_ in TYPED_COLUMNS)
NATS_COLUMNS = tuple(name for name, _, unit, _ in TYPED_COLUMNS if unit == NATS)


def described() -> list[tuple[str, str, str]]:
    """Name, unit and meaning of every column, in order."""
    return [(name, unit, text) for name, _, unit, text in TYPED_COLUMNS]


def check_names(*names: str) -> tuple[str, ...]:
    """Returns the names if every one is a column of the table.

    A file that makes rows calls this when it is imported, so that a name that is written wrongly
    fails there, and not after hours of training.

    Args:
        names: Names of columns.

    Returns:
        The same names, in the same order.

    Raises:
        ValueError: If a name is no column; the text has the first of them.
    """
    for name in names:
        if name not in COLUMNS:
            raise ValueError(f"no column is called {name!r}.")
    return names
