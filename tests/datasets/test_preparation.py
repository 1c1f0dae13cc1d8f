"""Binarisation, and which values the Bernoulli likelihood accepts."""

import numpy as np
import pytest


def test_threshold_is_at_one_half(tmp_path, get):
    np.save(
        tmp_path / "bytes.npy", np.tile(np.array([[[0, 127], [128, 255]]], np.uint8), (12, 1, 1))
    )
    np.save(tmp_path / "floats.npy", np.tile([[[0, 0.49], [0.5, 1]]], (12, 1, 1)))
    for name in ("bytes.npy", "floats.npy"):
        data = get(tmp_path / name, binarize="threshold", likelihood="bernoulli")
        assert data.train.tolist() == [[0, 0, 1, 1]] * 10 and data.scale == 1
        assert data.train.dtype == np.uint8
    digits = get("digits")
    ones = get("digits", binarize="threshold").train
    assert np.array_equal(ones, digits.train >= 8)


def test_static_is_one_draw_with_the_grey_values_as_probabilities(get):
    grey, data = get("digits"), get("digits", binarize="static", likelihood="bernoulli")
    # The draw of the first release: runs are compared by the hash of their data.
    assert data.sha256.startswith("3fcaac17c073")
    assert set(np.unique(data.train)) == {0, 1} and data.scale == 1 and not data.dynamic
    for value in range(17):
        draws = data.train[grey.train == value]
        error = np.sqrt(value / 16 * (1 - value / 16) / len(draws))  # the standard error
        assert abs(draws.mean() - value / 16) <= 4 * error
    assert not np.array_equal(data.train[:200], data.splits["test"][:200])


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_an_examples_draw_does_not_depend_on_how_many_follow(binarize, get):
    few = get("digits", binarize=binarize, max_examples=20, first=True)
    assert np.array_equal(
        few.splits["train"], get("digits", binarize=binarize).splits["train"][:20]
    )


def test_dynamic_keeps_probabilities_to_train_on_and_measures_one_draw(tmp_path, get):
    np.save(tmp_path / "floats.npy", np.random.default_rng(0).random((30, 5, 1)))
    for name in ("digits", tmp_path / "floats.npy"):
        grey, static, data = (get(name, binarize=how) for how in ("none", "static", "dynamic"))
        assert data.dynamic and data.scale == grey.scale
        assert np.array_equal(data.train, grey.train) and data.train.dtype == grey.train.dtype
        for split, drawn in data.splits.items():
            assert drawn.dtype == data.train.dtype
            assert np.array_equal(drawn * data.scale, static.splits[split])
        assert len({grey.sha256, static.sha256, data.sha256}) == 3
        assert get(name, binarize="dynamic", likelihood="bernoulli").sha256 == data.sha256


@pytest.mark.parametrize("binarize", ["threshold", "static", "dynamic"])
def test_binary_data_stay_as_they_are(binarize, get):
    before, after = (get("bernoulli:.3,9", binarize=how) for how in ("none", binarize))
    assert np.array_equal(before.train, after.train) and after.scale == 1
    assert np.array_equal(before.splits["test"], after.splits["test"])


def test_arbitrary_floats_cannot_be_binarised(refusal):
    for binarize in ("threshold", "static", "dynamic"):
        assert "only values in [0, 1] can be binarised: got -" in refusal(
            "gaussian:4", binarize=binarize
        )


def test_the_bernoulli_likelihood_needs_zeros_and_ones(tmp_path, refusal):
    text = refusal("digits", likelihood="bernoulli", binarize="none")
    assert "values that are 0 or 1: got 0." in text
    assert "--binarize static, dynamic or threshold, or --likelihood discretized-logistic" in text
    np.save(tmp_path / "flat.npy", np.arange(0, 240, dtype=np.uint8).reshape(60, 4))
    assert "--scale 255, or whichever number is white, for flat" in refusal(
        tmp_path / "flat.npy", likelihood="bernoulli"
    )
    text = refusal("gaussian:4,1", likelihood="bernoulli")
    assert "--likelihood gaussian" in text and "--binarize" not in text
