"""What a run may be asked for besides D + beta R, on sources whose optimum is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner

import ratedistortion as rd
from ratedistortion.cli import plot
from ratedistortion.curve.points import points_of
from ratedistortion.errors import SettingsError
from ratedistortion.models.autoencoder import make_functions
from ratedistortion.run_directory.reading import read_losses
from ratedistortion.table import parquet
from ratedistortion.training.run import DataShape, SweptParameters, held_out, make_run, selected

LINEAR = {
    "dataset": "gaussian:4,1,0.25",
    "encoder": "linear",
    "decoder": "linear",
    "likelihood": "gaussian",
    "likelihood_scale": 0.2**0.5,
    "latents": 3,
    "max_examples": 4000,
    "steps": 6000,
    "learning_rate": 0.01,
    "codes": 500,
}


def rows_of(tmp_path, **values):
    frame = rd.sweep(rd.Settings(**LINEAR | values), tmp_path / "run")
    assert (tmp_path / "run" / "rd.parquet").exists()
    return frame[frame["split"] == "train"].reset_index()


def test_target_rates_are_met_and_beta_is_the_slope_there(tmp_path):
    """R and D of reverse water-filling at beta 0.5, 1 and 2 (by hand, in test_measure.py)."""
    rows = rows_of(tmp_path, target_rates=(3.45388, 2.41416, 1.60944))
    np.testing.assert_array_equal(rows["target_rate"], [3.45388, 2.41416, 1.60944])
    np.testing.assert_allclose(rows["rate"], rows["target_rate"], rtol=0.01)
    # 4,000 draws of the source: its variances are known to 2%.
    np.testing.assert_allclose(rows["distortion"], [1.092659, 1.842659, 2.967659], rtol=0.04)
    np.testing.assert_allclose(rows["beta"], [0.5, 1.0, 2.0], rtol=0.1)
    # Each component keeps beta s^2 of its variance, or all of it: 0.3, 0.6 and 1.05 in sum.
    np.testing.assert_allclose(rows["distortion_mse"], [0.1, 0.2, 0.35], rtol=0.05)
    assert parquet.read(tmp_path / "run" / "rd.parquet")["target_rate"].notna().all()
    for kind in ("rate-distortion", "information", "training"):
        arguments = [str(tmp_path / "run"), "-o", str(tmp_path / f"{kind}.png"), "--kind", kind]
        assert CliRunner().invoke(plot.main, arguments).exit_code == 0


def test_the_best_of_a_target_rate_is_one_that_meets_it(tmp_path):
    """Where the multiplier is far above 1, and a first look is far from the rate."""
    rows = rows_of(tmp_path, target_rates=(1.0,), select="best", steps=8000)
    assert rows["selected_step"][0] > 800
    np.testing.assert_allclose(rows["rate"], 1.0, rtol=0.1)
    np.testing.assert_allclose(rows["beta"], 2 / np.e / 0.2, rtol=0.25)  # by hand, as above


def test_targets_that_end_at_one_beta_stay_apart(tmp_path):
    """Rates out of reach: each is a run, a point, a loss curve and a row of the gallery."""
    settings = rd.Settings(
        binarize="dynamic", hidden=(4,), latents=2, steps=4, max_examples=200, codes=50,
        target_rates=(200.0, 300.0, 0.0), seeds=2,
    )  # fmt: skip
    frame = rd.sweep(settings, tmp_path / "run")
    assert frame.attrs["summary"]["runs"] == 6
    beta = frame[frame["target_rate"] > 100].groupby("seed")["beta"].nunique()
    assert (beta == 1).all()
    assert len(read_losses(tmp_path / "run")) == 6
    points = points_of(frame[frame["split"] == "test"])
    assert points.seeds.tolist() == [2, 2, 2] and (np.diff(points.beta) >= 0).all()
    for kind in ("gallery", "training", "bounds"):
        arguments = [str(tmp_path / "run"), "-o", str(tmp_path / f"{kind}.png"), "--kind", kind]
        assert CliRunner().invoke(plot.main, arguments).exit_code == 0


def test_what_the_table_would_say_wrongly_is_refused():
    functions = make_functions(rd.Settings(**LINEAR), (3,))
    source = DataShape(4000, 3, 1.0, False)
    with pytest.raises(SettingsError, match="warmup must be less than the 6,000 steps"):
        make_run(rd.Settings(**LINEAR | {"warmup": 6000}), functions, source)
    long = {"steps": None, "epochs": 10_000_000}
    with pytest.raises(SettingsError, match="epochs: a run has at most 10,000,000 steps"):
        make_run(rd.Settings(**LINEAR | long), functions, source)
    with pytest.raises(SettingsError, match="free_bits and target_rates exclude each other"):
        rd.Settings(free_bits=0.1, target_rates=(1.0,))


def test_a_last_step_into_the_void_is_divergence(tmp_path):
    frame = rd.sweep(
        rd.Settings(binarize="dynamic", hidden=(4,), steps=1, learning_rate=1e30, betas=(1.0,)),
        tmp_path / "run",
    )
    assert frame["status"].tolist() == ["diverged"] * 2
    assert frame["diverged_at_step"].tolist() == [1, 1]
    assert frame.attrs["summary"]["diverged"] == 1


def test_a_target_of_zero_collapses(tmp_path):
    rows = rows_of(tmp_path, target_rates=(0.0,))
    assert rows["beta"][0] > 8  # where the widest of the three latents gives up
    assert rows["rate"][0] < 0.02


def test_free_bits_are_the_least_rate_of_a_latent(tmp_path):
    """At beta 30 every latent collapses, but for the nats that are free: 3 times 0.2."""
    rows = rows_of(tmp_path, betas=(30.0,), free_bits=0.2, batch_size=2000)
    assert rows["rate"][0] == pytest.approx(0.6, rel=0.05)
    assert (rows["free_bits"] == 0.2).all()


def test_free_bits_need_a_rate_for_every_latent():
    functions = make_functions(rd.Settings(**LINEAR | {"free_bits": 0.1, "prior": "vamp"}), (3,))
    with pytest.raises(SettingsError, match="free_bits needs .* got prior vamp"):
        jax.eval_shape(functions.build, jax.random.key(0))


IMAGES = np.random.default_rng(0).integers(0, 2, (40, 12)).astype(np.uint8)


def memorised(select: str, images: np.ndarray = IMAGES):
    """A run long enough to learn 36 or 40 images of pure noise by heart."""
    settings = rd.Settings(
        dataset="made", latents=4, hidden=(64,), batch_size=12, steps=600, select=select
    )
    run = make_run(settings, make_functions(settings, (12,)), DataShape(40, 12, 1.0, False))
    zero = jnp.float32(0)
    arguments = SweptParameters(jnp.float32(0.1), jnp.float32(0.01), jnp.int32(0), zero)
    state, images = jax.jit(run.start)(arguments), jnp.asarray(images)
    advance = jax.jit(run.advance)
    state = advance(state, arguments, images, np.int32(0), np.int32(100))
    return advance(state, arguments, images, np.int32(100), np.int32(600))


def test_the_best_parameters_are_those_before_noise_is_learnt_by_heart():
    state = memorised("best")
    assert state.best is not None
    assert 12 <= int(state.best.step) < 300 and int(state.best.step) % 12 == 0
    assert np.isfinite(state.best.loss)
    kept, last = jax.tree.leaves(selected(state)), jax.tree.leaves(state.model)
    assert all(np.any(a != b) for a, b in zip(kept, last, strict=True))


def test_without_select_the_last_parameters_are_kept():
    state = memorised("last")
    assert state.best is None and selected(state) is state.model


def test_a_tenth_is_held_out_and_never_trained_on():
    assert [held_out(n) for n in (5, 40, 60_000, 10**6)] == [1, 4, 5000, 5000]
    state, changed = memorised("best"), IMAGES.copy()
    changed[-4:] = 1 - changed[-4:]
    other = memorised("best", changed)
    for a, b in zip(jax.tree.leaves(state.model), jax.tree.leaves(other.model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert state.best.loss != other.best.loss


def test_holding_out_must_leave_a_batch():
    settings = rd.Settings(dataset="made", batch_size=39, select="best")
    with pytest.raises(SettingsError, match="holds out 4 of 40 images"):
        make_run(settings, make_functions(settings, (12,)), DataShape(40, 12, 1.0, False))
