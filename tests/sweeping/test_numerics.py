"""Sweeps at the edge of numbers and shapes, end to end."""

import numpy as np
import pytest

import ratedistortion as rd
from ratedistortion.errors import DatasetError

SMALL = {
    **{"hidden": (8,), "latents": 2, "steps": 20, "codes": 50, "batch_size": 10},
    **{"runs_at_once": 2, "max_examples": 60},
}


def swept(path, **changed):
    return rd.sweep(rd.Settings(**{**SMALL, **changed}), path, progress=False)


def test_a_run_that_diverges_changes_no_bit_of_the_others(tmp_path):
    alone = swept(tmp_path / "alone", betas=(1e-12, 0.5, 1e12))
    beside = swept(tmp_path / "beside", betas=(1e-12, 0.5, 1e12, 1e38))
    assert set(alone["status"]) == {"ok"}
    assert beside["status"].tolist() == ["ok"] * 6 + ["diverged"] * 2
    rows = [frame.drop(columns="diverged_at_step").iloc[:6] for frame in (alone, beside)]
    assert rows[1].equals(rows[0])
    with (
        np.load(tmp_path / "alone" / "images.npz") as one,
        np.load(tmp_path / "beside" / "images.npz") as other,
    ):
        for name in ("reconstructions", "samples"):
            np.testing.assert_array_equal(other[name][:3], one[name])


def test_all_runs_diverge(tmp_path):
    table = swept(tmp_path / "run", betas=(0.5, 2.0), learning_rate=1e30)
    assert set(table["status"]) == {"diverged"} and table["rate"].isna().all()
    assert set(table["failed_checks"]) == {"D is not finite"}


@pytest.mark.parametrize("latents", [1, 256])
def test_the_fewest_and_many_latents(tmp_path, latents):
    table = swept(tmp_path / "run", betas=(0.5,), latents=latents)
    assert set(table["status"]) == {"ok"}


@pytest.mark.parametrize("decoder", ["mlp", "pixelcnn"])
def test_images_of_one_pixel_and_two_of_them_to_test_on(tmp_path, decoder):
    images = np.random.default_rng(0).random((12, 1, 1))
    np.savez(tmp_path / "data.npz", train=images, test=images[:2])
    data = {"dataset": str(tmp_path / "data.npz"), "decoder": decoder}
    table = swept(tmp_path / "run", betas=(0.5,), **data)
    assert set(table["status"]) == {"ok"} and table["examples"].tolist() == [12, 2]


def test_one_test_image_has_no_standard_error_and_is_refused(tmp_path):
    images = np.random.default_rng(0).random((12, 3, 3))
    np.savez(tmp_path / "data.npz", train=images, test=images[:1])
    with pytest.raises(DatasetError, match="2 in each split: got 12 train and 1 test"):
        swept(tmp_path / "run", betas=(0.5,), dataset=str(tmp_path / "data.npz"))


def test_constant_images_carry_no_information(tmp_path):
    np.savez(tmp_path / "data.npz", train=np.zeros((12, 1, 1)), test=np.zeros((2, 1, 1)))
    table = swept(tmp_path / "run", betas=(0.5,), dataset=str(tmp_path / "data.npz"))
    assert set(table["status"]) == {"ok"} and table["distinct_examples"].tolist() == [1, 1]
    np.testing.assert_allclose(table["mutual_information"], 0, atol=1e-6)
