import itertools

import mnist_like
import numpy as np
import pytest
from drawing import check_layout, draw, said, words
from matplotlib.collections import PathCollection

from ratedistortion.figures import style
from ratedistortion.settings import Settings
from ratedistortion.theory import known_curve


def test_rate_distortion_shows_every_run_where_the_table_has_it(frame):
    drawn = draw(frame)
    points = drawn.axes[0].collections[-1].get_offsets()
    np.testing.assert_allclose(
        sorted(map(tuple, points)), sorted(zip(frame["rate"], frame["distortion"], strict=True))
    )


def test_bits_are_nats_over_ln_2_and_per_dimension_by_the_dimensions(frame):
    nats, bits, per_dimension = (
        draw(frame, units=units).axes[0].collections[-1].get_offsets()
        for units in ("nats", "bits", "bits-per-dim")
    )
    np.testing.assert_allclose(bits, nats / np.log(2))
    np.testing.assert_allclose(per_dimension, bits / 784)


def test_lines_of_equal_elbo_carry_their_value(frame):
    axes = draw(frame).axes[0]
    levels = [float(text.get_text()) for text in axes.texts]
    assert levels == [100, 150, 200, 250, 300]
    for text, level in zip(axes.texts, levels, strict=True):
        assert sum(text.get_position()) == pytest.approx(level)


def test_the_exact_curve_is_drawn_where_the_source_is_known(tmp_path, frame):
    assert not said(draw(frame), "exact R(D)")
    settings = Settings(dataset="gaussian:4,1,0.25", likelihood="gaussian", likelihood_scale=0.5)
    distortion, rate = known_curve(settings.as_json())
    rows = mnist_like.rows((1.0,), 2, rate=2.0, distortion=2.5, dimensions=3)
    known = mnist_like.read(tmp_path, rows, **settings.as_json())
    drawn = draw(known, units="bits-per-dim")
    assert said(drawn, "exact R(D)")
    (line,) = (line for line in drawn.axes[0].lines if line.get_linestyle() == "--")
    scale = 3 * np.log(2)
    np.testing.assert_allclose(line.get_xydata() * scale, np.stack([rate, distortion], 1))


def test_several_runs_are_told_apart(frame):
    drawn = draw({f"run {n}": frame for n in range(12)})
    assert {f"run {n}" for n in range(12)} <= set(words(drawn))
    (legend,) = drawn.legends
    looks = {(line.get_color(), line.get_marker()) for line in legend.get_lines()}
    assert len(looks) == 13
    check_layout(drawn)


def combinations(frame):
    """Eight tables: encoders, decoders and priors, two of each, with different D."""
    names = itertools.product(("mlp", "iaf"), ("mlp", "made"), ("standard", "maf"))
    return {
        f"run {n}": frame.assign(
            encoder=encoder, decoder=decoder, prior=prior, distortion=frame["distortion"] * (1 + n)
        )
        for n, (encoder, decoder, prior) in enumerate(names)
    }


def test_combinations_of_families_are_told_apart_by_marker_colour_and_line(frame):
    tables = combinations(frame)
    drawn = draw(tables)
    check_layout(drawn)
    (legend,) = drawn.legends
    texts = [text.get_text() for text in legend.get_texts() if text.get_text()]
    assert texts == [
        *("mlp encoder", "iaf encoder", "mlp decoder", "made decoder"),
        *("standard prior", "maf prior", "equal R + D (−ELBO)"),
    ]
    hulls = [line for line in drawn.axes[0].lines if line.get_zorder() == 2]
    looks = [(line.get_color(), line.get_linestyle()) for line in hulls]
    expected = [(c, s) for c in (style.BLUE, style.ORANGE) for s in ("-", "--")]
    assert looks == 2 * expected
    dots = [found for found in drawn.axes[0].collections if isinstance(found, PathCollection)]
    shapes = [len(found.get_paths()[0]) for found in dots]
    assert shapes == 4 * shapes[:1] + 4 * shapes[-1:] and shapes[0] != shapes[-1]


@pytest.mark.parametrize(
    "chosen, changed",
    [
        (["run 0", "run 3"], {}),  # four entries for two tables
        (["run 0", "run 1"], {}),  # one family varies
        (["run 0", "run 1", "run 2", "run 3"], {"dataset": "digits"}),
        (["run 0", "run 1", "run 2", "run 3"], {"prior": "maf"}),  # run 0 is then like run 1
    ],
)
def test_families_that_make_no_good_legend_leave_the_labels(frame, chosen, changed):
    tables = {label: combinations(frame)[label] for label in chosen}
    tables["run 0"] = tables["run 0"].assign(**changed)
    drawn = draw(tables)
    assert all(said(drawn, label) for label in chosen) and not said(drawn, "decoder")
    check_layout(drawn)


def test_labels_that_are_too_long_keep_their_ends(frame):
    long = "/a/very/long/path" * 5
    drawn = draw({f"{long}/one": frame, f"{long}/two": frame})
    assert said(drawn, "path/one") and said(drawn, "path/two")
    check_layout(drawn)
    assert said(draw({"a": frame, "b": frame}, "information"), "b")


def test_squared_errors_stand_in_for_the_distortion_of_gaussian_models(frame):
    squares = np.linspace(0.5, 0.01, len(frame))
    gaussian = frame.assign(distortion_mse=squares, distortion_mse_se=squares / 50)
    drawn = draw(gaussian, units="bits", distortion="mse")
    assert said(drawn, "squared error per dimension") and said(drawn, "rate R (bits per image)")
    assert not said(drawn, "equal R + D")
    offsets = drawn.axes[0].collections[-1].get_offsets()
    assert 0 < offsets[:, 1].min() and offsets[:, 1].max() <= 0.5
