import mnist_like
import numpy as np
import pytest
import scipy.stats
from drawing import check_layout, draw, said, words

from ratedistortion.errors import RateDistortionError, SettingsError
from ratedistortion.figures import FIGURES, style
from ratedistortion.settings import Settings

KINDS = list(FIGURES)
UNITS = {
    "nats": "nats per image",
    "bits": "bits per image",
    "bits-per-dim": "bits per dimension",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_one_column_wide_and_legible_and_names_its_data_set_and_units(frame, kind):
    for units, named in UNITS.items():
        drawn = draw(frame, kind, units)
        assert drawn.get_figwidth() == style.WIDTH
        assert [unit for unit in UNITS.values() if said(drawn, unit)] == [named]
        heading = "binarized_mnist, 10,000 test images"
        assert sum(text.startswith(heading) for text in words(drawn)) == 1
    check_layout(drawn)


@pytest.mark.parametrize("kind", ["rate-distortion", "information"])
def test_tables_of_different_data_sets_name_each(frame, kind):
    digits = frame.assign(dataset="digits", examples=299)
    drawn = draw({"a": frame, "b": digits}, kind)
    assert {"test images", "a: binarized_mnist", "b: digits"} <= set(words(drawn))
    check_layout(drawn)
    shorter = draw({"a": frame, "b": frame.assign(examples=500)}, kind)
    assert {"binarized_mnist, test images", "a", "b"} <= set(words(shorter))


@pytest.mark.parametrize("kind", KINDS)
def test_names_from_outside_are_text(frame, kind):
    """A formula of matplotlib would raise an error, and a line break would leave its line."""
    name = "$\\nothing$\n/a very long path/" + "folder/" * 20 + "data $1$.npz"
    drawn = draw(frame.assign(dataset=name), kind)
    assert said(drawn, "folder/data $1$.npz, 10,000 test images")
    check_layout(drawn)
    if kind not in ("gallery", "training"):
        drawn = draw({"$\\nothing$\n": frame, "b": frame}, kind)
        assert said(drawn, "$\\nothing$")
        check_layout(drawn)


@pytest.mark.parametrize("kind", ["rate-distortion", "information", "bounds"])
@pytest.mark.parametrize(
    "betas, seeds",
    [((1.0,), 1), ((0.0,), 1), ((0.5, 0.6), 3), ((0.0, 1.0, 2.0, 3.0, 4.0), 2), (None, 3)],
)
def test_grids_of_every_size_stay_legible(tmp_path, kind, betas, seeds):
    betas = betas or tuple(np.geomspace(0.001, 100, 48))
    frame = mnist_like.read(tmp_path, mnist_like.rows(betas, seeds))
    check_layout(draw(frame, kind))


def test_diverged_runs_are_left_out_and_counted(tmp_path):
    rows = mnist_like.rows(diverged={(10.0, 0), (10.0, 1), (0.01, 1)})
    for kind in ("rate-distortion", "information"):
        assert said(draw(mnist_like.read(tmp_path, rows), kind), "3 diverged runs left out")
    rows = mnist_like.rows(diverged={(10.0, 0)})
    assert said(draw(mnist_like.read(tmp_path, rows)), "1 diverged run left out")


def test_a_table_of_diverged_runs_alone_is_an_error(tmp_path):
    frame = mnist_like.read(tmp_path, mnist_like.rows((1.0,), 1, diverged={(1.0, 0)}))
    with pytest.raises(RateDistortionError, match="every run of the split test diverged"):
        draw(frame)


def test_information_marks_saturated_points_and_the_ceiling(frame):
    drawn = draw(frame, "information")
    assert {"rate R", "I(n;z)", "marginal KL", "bounds of I", "I near log N"} <= set(words(drawn))
    axes = drawn.axes[0]
    (hollow,) = (line for line in axes.lines if line.get_markerfacecolor() == "white")
    assert len(hollow.get_xdata()) == int(frame["saturated"].sum())
    (ceiling,) = (line for line in axes.lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(ceiling.get_ydata(), np.log(10_000))


@pytest.mark.parametrize("kind", ["information", "bounds"])
@pytest.mark.parametrize(
    "units, value", [("nats", "9.21"), ("bits", "13.3"), ("bits-per-dim", "0.0169")]
)
def test_the_line_of_log_n_carries_its_value(frame, kind, units, value):
    drawn = draw(frame, kind, units)
    (text,) = (text for text in drawn.axes[0].texts if text.get_text().startswith("log N"))
    assert text.get_text() == f"log N\n{value}"
    assert text.xy[1] == pytest.approx(float(value), rel=0.01)


@pytest.mark.parametrize("high", [0.02, 1.0, 1.9, 2.1, 52.0, 199.0, 3e4])
def test_information_has_ticks_over_its_whole_range(frame, high):
    """However large R is, four or more of its ticks lie below the largest, and one near it."""
    scaled = frame.assign(
        rate=frame["rate"] * high / frame["rate"].max(), log_examples=high / 10, marginal_kl=0.0
    )
    axes = draw(scaled, "information").axes[0]
    ticks = axes.get_yticks()
    assert ticks[0] == 0 and 4 <= len(ticks) <= 7
    assert high / 3 <= ticks[-1] <= axes.get_ylim()[1]


def drawn_line(drawn, label):
    (legend,) = drawn.legends
    n = [text.get_text() for text in legend.get_texts()].index(label)
    look = legend.legend_handles[n]
    (line,) = (
        line
        for line in drawn.axes[0].lines
        if (line.get_color(), line.get_linestyle()) == (look.get_color(), look.get_linestyle())
    )
    return line.get_ydata()


def test_bounds_of_a_known_source_hold_its_entropy_minus_the_distortion(tmp_path):
    """H = 4.26 nats of the Gaussian source; where D is above it, 0 is the better bound."""
    source = Settings(dataset="gaussian:4,1,0.25", likelihood="gaussian", likelihood_scale=0.5)
    given = [
        mnist_like.rows((beta,), 2, distortion=d, rate=5.0, mutual_information=2.0, dimensions=3)
        for beta, d in ((0.5, 1.25), (2.0, 6.0))
    ]
    frame = mnist_like.read(tmp_path, sum(given, []), **source.as_json())
    entropy = scipy.stats.multivariate_normal(cov=np.diag([4, 1, 0.25])).entropy()
    for units, factor in (("nats", 1), ("bits", 1 / np.log(2))):
        drawn = draw(frame, "bounds", units)
        bound = drawn_line(drawn, "lower bound H − D")
        np.testing.assert_allclose(bound, [factor * (entropy - 1.25), 0])
        assert not said(drawn, "best −ELBO")
        (band,) = drawn.axes[0].collections
        heights = np.unique(band.get_paths()[0].vertices[:, 1])
        np.testing.assert_allclose(heights, factor * np.array([2.0, entropy - 1.25, 5.0]))


def test_bounds_of_real_data_do_not_call_h_minus_d_a_bound(frame):
    drawn = draw(frame, "bounds")
    assert said(drawn, "H − D (H ≤ best −ELBO)") and not said(drawn, "lower bound H − D")
    means = frame.groupby("beta")[["distortion", "negative_elbo", "mutual_information"]].mean()
    expected = frame["negative_elbo"].min() - means["distortion"]
    line = drawn_line(drawn, "H − D (H ≤ best −ELBO)")
    np.testing.assert_allclose(line, np.where(expected > 0, expected, np.nan))
    # The band does not know of it: it begins at I(n;z) although the dashed line is above.
    (band,) = drawn.axes[0].collections
    first = band.get_paths()[0].vertices
    assert first[:, 1].min() == pytest.approx(means["mutual_information"].min())
    assert line[0] > first[first[:, 0] == first[0, 0], 1].min()


def test_gallery_goes_from_autoencoder_to_autodecoder(frame):
    drawn = draw(frame, "gallery")
    labels = [text for text in words(drawn) if text.startswith("β")]
    assert len(labels) == 6
    assert labels[0] == "β = 0.01\nR 153.7  D 58.4" and labels[-1] == "β = 10\nR 1.27  D 182.5"


@pytest.mark.parametrize("shape", [(8, 8, 3), (4, 20, 1), (20, 4, 1), (64, 64, 1)])
def test_gallery_takes_images_of_other_shapes(frame, shape):
    drawn = draw(frame, "gallery", images=mnist_like.images(count=2, shape=shape))
    check_layout(drawn)


def test_gallery_refuses_vectors_and_images_of_other_runs(frame):
    vectors = mnist_like.images() | {"originals": np.zeros((6, 3))}
    with pytest.raises(SettingsError, match=r"gallery needs images .* vectors of shape \(3,\)"):
        draw(frame, "gallery", images=vectors)
    others = mnist_like.images() | {"seed": np.full(16, 7)}
    with pytest.raises(SettingsError, match="belong to none of the table's runs"):
        draw(frame, "gallery", images=others)


@pytest.mark.parametrize("units", UNITS)
def test_runs_of_target_rates_have_their_images_and_marks_in_every_unit(tmp_path, units):
    rows = [row | {"target_rate": 2 * row["rate"]} for row in mnist_like.rows(suspect={(10.0, 0)})]
    frame = mnist_like.read(tmp_path, rows)
    targets = frame["target_rate"].to_numpy()
    drawn = draw(frame, "gallery", units, images=mnist_like.images() | {"target_rate": targets})
    assert sum(text.startswith("β") for text in words(drawn)) == 6
    losses = [
        run | {"target_rate": target}
        for run, target in zip(mnist_like.losses(), targets, strict=True)
    ]
    assert said(draw(frame, "training", units, losses=losses), "suspect")


def test_training_has_a_line_for_every_run_and_a_cross_where_one_diverged(frame):
    losses = mnist_like.losses()
    assert len(draw(frame, "training").axes[0].lines) == len(losses)
    losses[3]["distortion"][10:] = [float("nan")] * 20
    drawn = draw(frame, "training", losses=losses)
    assert said(drawn, "diverged")
    crosses = drawn.axes[0].lines[-1].get_xydata()
    beta, step = losses[3]["beta"], losses[3]["steps"][9]
    assert crosses.tolist() == [[step, losses[3]["distortion"][9] + beta * losses[3]["rate"][9]]]


def test_training_takes_losses_below_zero_and_runs_that_never_were_finite(frame):
    losses = mnist_like.losses()
    losses[0]["distortion"] = [-5.0] * 30
    losses[1]["distortion"] = [float("nan")] * 30
    drawn = draw(frame, "training", losses=losses)
    assert drawn.axes[0].get_yscale() == "linear"
    check_layout(drawn)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"kind": "pie"}, "kind must be one of rate-distortion, .*: got 'pie'"),
        ({"units": "bytes"}, "units must be one of nats, bits, bits-per-dim: got 'bytes'"),
        ({"split": "all"}, "split must be one of train, test: got 'all'"),
        ({"split": "train"}, "no rows of the split train: it has test"),
        ({"kind": "gallery", "images": None}, "gallery needs the images"),
        ({"kind": "training", "losses": None}, "training needs the losses"),
        ({"kind": "training", "losses": []}, "training needs the losses"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(frame, given, message):
    with pytest.raises(SettingsError, match=message):
        draw(frame, **given)


@pytest.mark.parametrize("kind", ["gallery", "training"])
def test_kinds_of_one_run_refuse_several(frame, kind):
    with pytest.raises(SettingsError, match=f"{kind} draws one run: got 2"):
        draw({"a": frame, "b": frame}, kind)


def test_a_table_is_not_changed_by_drawing_it(frame):
    before = frame.copy()
    draw(frame, units="bits")
    assert frame.equals(before)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"distortion": "mse"}, "distortion mse needs models with --likelihood gaussian: got ber"),
        ({"distortion": "mae"}, "distortion must be one of nll, mse: got 'mae'"),
    ],
)
def test_a_distortion_that_cannot_be_drawn_is_refused(frame, given, message):
    with pytest.raises(SettingsError, match=message):
        draw(frame, **given)


def test_squared_errors_are_drawn_against_the_rate_only(frame):
    with pytest.raises(SettingsError, match="against R only: got kind 'bounds'"):
        draw(frame.assign(distortion_mse=1.0, distortion_mse_se=0.1), "bounds", distortion="mse")


def test_posteriors_of_which_only_bounds_are_known_are_drawn_with_the_bounds(frame):
    nothing = ["mutual_information", "mutual_information_se", "marginal_kl", "marginal_kl_se"]
    flows = frame.assign(**dict.fromkeys(nothing, np.nan), information_kind="bounds")
    information = draw(flows, "information")
    assert said(information, "bounds of I") and not said(information, "marginal KL")
    assert said(draw({"flows": flows, "gauss": frame}, "information"), "marginal KL")
    (line,) = [
        line
        for line in draw(flows, "bounds").axes[0].lines
        if line.get_label() != "log N" and line.get_marker() == "o"
    ]
    assert np.isfinite(line.get_ydata()).all()
