"""What the numbers are divided by: read where it is certain, asked where it is not."""

import numpy as np
import pytest

from ratedistortion.datasets import load
from ratedistortion.settings import Settings

RANDOM = np.random.default_rng(0)


def images(highest: float, dtype: type = np.uint8, examples: int = 12) -> np.ndarray:
    """Images of 4x3 whole numbers from 0 to the highest."""
    array = RANDOM.integers(0, int(highest) + 1, (examples, 4, 3))
    array.flat[:2] = 0, highest
    return array.astype(dtype)


@pytest.fixture
def saved(tmp_path):
    """Saves train and test, and gives the path."""

    def save(train, test=None):
        np.savez(tmp_path / "a.npz", train=train, test=train if test is None else test)
        return tmp_path / "a.npz"

    return save


@pytest.mark.parametrize("highest", [1, 255, 65535])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_images_of_1_and_8_and_16_bits_are_certain(saved, get, highest, dtype):
    if highest > 255 and dtype is np.uint8:
        dtype = np.uint16
    array = images(highest, dtype)
    data = get(saved(array))
    assert np.allclose(data.train * data.scale, array.reshape(12, 12) / highest, atol=1e-7)
    words = "zeros and ones" if highest == 1 else f"whole numbers 0 to {highest}, divided by"
    assert words in data.description


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_other_images_of_whole_numbers_are_asked_about(saved, get, refusal, dtype):
    array = images(16, dtype)
    text = refusal(saved(array))
    assert (
        "images of whole numbers 0 to 16: give --scale 255 if they are of 8 bits, --scale 16"
        in (text)
    )
    for scale, white in ((16.0, 16), (255.0, 255), ("none", 1)):
        data = get(saved(array), scale=scale)
        assert np.allclose(data.train * data.scale, array.reshape(12, 12) / white)
    assert "must lie in 0 to 8" in refusal(saved(array), scale=8.0)


def test_the_embedded_digits_and_their_file_agree(saved, get):
    digits = get("digits", likelihood="bernoulli")
    train, test = (digits.train.reshape(-1, 8, 8), get("digits").splits["test"].reshape(-1, 8, 8))
    for dtype in (np.uint8, np.float64):
        own = get(
            saved(train.astype(dtype), test.astype(dtype)), scale=16.0, likelihood="bernoulli"
        )
        assert own.sha256 == digits.sha256 and own.dynamic and own.scale == 1 / 16


@pytest.mark.parametrize("likelihood", ["categorical", "discretized-logistic"])
def test_levels_are_the_numbers_themselves_where_they_fit(saved, get, likelihood):
    for highest in (2, 15):
        array = images(highest)
        data = get(saved(array), likelihood=likelihood, levels=highest + 1)
        assert np.array_equal(data.train, array.reshape(12, 12)) and data.scale == 1 / highest
    vectors = images(40).reshape(12, 12)
    data = get(saved(vectors, vectors[:5]), likelihood=likelihood)
    assert np.array_equal(data.train, vectors) and data.scale == 1 / 255


def test_vectors_of_whole_numbers_are_what_they_are_as_floats(saved, get):
    counts = images(60).reshape(12, 12)
    for scale in (None, "none"):
        first, second = (
            get(saved(counts.astype(dtype)), scale=scale) for dtype in (np.uint8, np.float32)
        )
        assert np.array_equal(first.train, second.train) and first.scale == second.scale == 1
    assert first.train.max() == 60 and "0 to 60, as they are" in first.description
    assert get(saved(counts * 100.0), scale="none").train.max() == 6000


def test_splits_of_different_kinds_are_refused(saved, refusal):
    grey = images(255)
    text = refusal(saved(grey, grey > 99))
    assert "train has whole numbers 0 to 255, test has zeros and ones" in text
    assert "test has numbers 0 to 1" in refusal(saved(grey, grey / 255))
    assert "test has whole numbers 0 to 255" in refusal(saved(grey > 99, grey))
    assert "reaches from 0 to 300: to divide it by 255" in refusal(saved(grey, images(300, int)))


def test_rounding_out_of_0_to_1_is_clipped(saved, get, refusal):
    floats = (images(255) / 255).astype(np.float32)
    data = get(saved(floats * np.float32(1.000001)))
    assert data.train.max() == 1 and data.scale == 1
    assert "numbers 0 to 1.1: give --scale 1.1" in refusal(saved(floats * 1.1))
    assert "numbers -1 to 1: give --scale none" in refusal(saved(floats * 2 - 1))
    assert get(saved(floats * 2 - 1), scale="none").train.min() == -1


def test_grey_images_are_binarised_dynamically_whatever_the_data_set(saved, get, refusal):
    path = saved(images(255))
    data = get(path, likelihood="bernoulli")
    assert data.dynamic and "; dynamic binarisation" in data.description
    assert "values that are 0 or 1" in refusal(path, likelihood="bernoulli", binarize="none")
    assert not get(saved(images(1)), likelihood="bernoulli").dynamic
    typed, default = (load(Settings(dataset=name)) for name in ("digits", None))
    assert typed.description == default.description and typed.sha256 == default.sha256
    assert Settings(dataset="digits") == Settings()


def test_what_is_drawn_is_decided_after_all_numbers_are_seen(saved, get):
    dark = images(255, examples=40)
    dark[1:] //= 9
    for first in (True, False):
        assert get(saved(dark), max_examples=5, first=first).scale == 1 / 255


def test_copies_of_training_images_in_the_test_are_said(saved, get):
    grey = images(255)
    some = np.concatenate([grey[:3], images(255)])
    assert "3 test examples are copies of training" in get(saved(grey, some)).description
    assert "are copies" not in get(saved(grey, some[3:])).description


def test_numbers_that_were_computed_are_whole_within_their_rounding(saved, get):
    array = images(255, np.float64)
    for computed in (array / 255 * 255, ((array / 255 - 0.13) / 0.3 * 0.3 + 0.13) * 255):
        data = get(saved(computed))
        assert data.scale == 1 / 255 and np.array_equal(data.train, array.reshape(12, 12))
    nearly = np.where(array > 99, 1 - 1e-9, 0.0)
    assert np.array_equal(get(saved(nearly)).train, (array > 99).reshape(12, 12))
    assert "numbers" in get(saved(1e-46 * (1 + array)), scale="none").description
    below = np.where(array == 0, -1e-14, array)
    assert get(saved(below / 255 + 1e-9 * below)).train.min() >= 0


def test_a_column_that_hardly_changes_is_not_blown_up(saved, get):
    train = RANDOM.random((60, 3))
    train[:, 1] = 0.1  # the mean of 60 times 0.1 is not 0.1
    test = train[:20].copy()
    test[:, 1] = 0.101
    data = get(saved(train, test))
    assert data.spread is not None and data.spread[1] == 1
    assert np.allclose(data.splits["test"][:, 1], 0.001)


def test_vectors_are_centred_and_scaled_by_the_training_split(saved, get):
    train = RANDOM.normal(size=(50, 3)) * [1e-3, 1.0, 1e6] + [5.0, -2e9, 0.0]
    train = np.concatenate([train, np.full((50, 1), 7.0)], axis=1)  # a column that never changes
    test = train[:20] + [1e-3, 0, 0, 1]
    data = get(saved(train, test))
    assert np.allclose(data.train.mean(0), 0, atol=1e-6)
    assert np.allclose(data.train.std(0), [1, 1, 1, 0], atol=1e-6)
    for split, values in (("train", train), ("test", test)):
        errors = np.abs(data.in_own_units(data.splits[split]) - values)
        assert np.all(errors <= 1e-6 * np.abs(values).max(0))
    assert data.splits["test"][0, 3] == 1  # one unit of its own
    assert "centred and scaled by column for the networks (D is not)" in data.description
    preview = data.preview()
    assert np.allclose(preview["mean"], train.mean(0)) and np.allclose(preview["test"], test)
    for other in ({"scale": "none"}, {"binarize": "none", "likelihood": "bernoulli"}):
        bits = (train > 0).astype(np.uint8)
        assert get(saved(bits, bits), **other).spread is None
    assert get("gaussian:4,1").spread is None


@pytest.mark.parametrize("binarize", ["static", "threshold", "dynamic"])
def test_numbers_above_1_are_not_binarised(saved, get, refusal, binarize):
    flat = images(255).reshape(12, 12)
    values = {"likelihood": "bernoulli", "binarize": binarize}
    assert "[0, 1] can be binarised: got 0 to 255; give --scale MAX" in refusal(
        saved(flat), **values
    )
    assert get(saved(flat), scale=255.0, **values).splits["test"].max() > 0


@pytest.mark.parametrize("likelihood", ["categorical", "discretized-logistic"])
def test_levels_lie_in_0_to_1_after_scaling(saved, refusal, likelihood):
    for levels in (2, 17):
        text = refusal(saved(images(16)), scale="none", likelihood=likelihood, levels=levels)
        assert "must lie in [0, 1] after scaling: got 16; give --scale MAX" in text
    assert "8-bit values" in refusal(saved(images(255)), scale=65535.0, likelihood=likelihood)
    assert "0 or 1" in refusal(
        saved(images(1) * 9), scale=300.0, likelihood="bernoulli", binarize="none"
    )


def test_held_out_images_are_of_all_classes(saved, get):
    classes = np.repeat(np.arange(10.0), 20)[:, None]
    plain, best = (get(saved(classes), select=how, scale="none") for how in ("last", "best"))
    assert sorted(best.train.ravel()) == sorted(plain.train.ravel())
    assert len(set(best.train[-20:].ravel())) > 5
