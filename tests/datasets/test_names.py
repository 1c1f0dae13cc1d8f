"""Which named arrays are the data, which are labels, and where one has to be asked."""

from typing import Any

import numpy as np
import pytest

IMAGES: Any = np.arange(256, dtype=np.uint8).reshape(16, 4, 4)
OTHERS = IMAGES[::-1].copy()
LABELS = np.zeros(16)


@pytest.mark.parametrize(
    ("arrays", "label"),
    [
        ({"train": IMAGES, "test": OTHERS}, "train, test"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": OTHERS}, "x_train, x_test"),
        ({"X_train": IMAGES, "X_test": OTHERS, "Y_test": LABELS}, "X_train, X_test"),
        ({"train_x": IMAGES, "test_x": OTHERS, "train_y": LABELS}, "train_x, test_x"),
        ({"train_data": IMAGES, "test_data": OTHERS}, "train_data, test_data"),
        (
            {"train_images": IMAGES, "val_images": OTHERS[:3], "test_images": OTHERS},
            "train_images, test_images",
        ),
        ({"images": IMAGES, "test_images": OTHERS}, "images, test_images"),
        ({"train": IMAGES, "valid": OTHERS}, "train, valid as test"),
    ],
)
def test_known_pairs_of_names(tmp_path, get, arrays, label):
    np.savez(tmp_path / "a.npz", **arrays)
    data = get(tmp_path / "a.npz")
    assert np.array_equal(data.train.reshape(IMAGES.shape), IMAGES)
    assert np.array_equal(data.splits["test"].reshape(IMAGES.shape), OTHERS)
    assert f"a.npz[{label}]: 16 + 16 images" in data.description


@pytest.mark.parametrize("name", ["images", "imgs", "data", "X", "arr_0", "anything"])
def test_one_array_is_split(tmp_path, get, name):
    np.savez(tmp_path / "a.npz", y=LABELS, **{name: IMAGES})
    data = get(tmp_path / "a.npz")
    assert f"a.npz[{name}]: 14 + 2 images" in data.description
    assert "not used: y (labels)" in data.description


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("train", "test", "x_train", "x_test"), "more than one set of names fits"),
        (("X_train", "x_train", "X_test"), "more than one set of names fits"),
        (("train", "images"), "more than one set of names fits"),
        (("left", "right"), "no name is known"),
        (("arr_0", "arr_1"), "no name is known"),
    ],
)
def test_two_readings_are_asked_about(tmp_path, get, refusal, names, problem):
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, IMAGES))
    text = refusal(tmp_path / "a.npz")
    assert problem in text
    assert f"--arrays train={names[0]},test={names[1]}" in text
    arrays = {"train": names[1], "test": names[0]}
    assert f"a.npz[{names[1]}, {names[0]}]" in get(tmp_path / "a.npz", arrays=arrays).description


def test_what_is_not_used_is_said_with_its_size(tmp_path, get):
    rest = {"validation": OTHERS[:7], "unlabelled": OTHERS, "y_train": LABELS}
    np.savez(tmp_path / "a.npz", train=IMAGES, test=OTHERS, **rest)
    description = get(tmp_path / "a.npz").description
    assert "; not used: validation (7), unlabelled (16), y_train (labels)" in description


def test_names_that_are_not_there_are_refused(tmp_path, refusal):
    np.savez(tmp_path / "a.npz", train=IMAGES)
    text = refusal(tmp_path / "a.npz", arrays={"train": "images"})
    assert "--arrays train=images names no array: got train (16, 4, 4)" in text
    np.save(tmp_path / "a.npy", IMAGES)
    assert "leave out --arrays" in refusal(tmp_path / "a.npy", arrays={"train": "images"})


def test_a_share_of_one_array_is_the_test(tmp_path, get, refusal):
    np.save(tmp_path / "a.npy", IMAGES)
    data = get(tmp_path / "a.npy", test_fraction=0.5)
    rows = np.concatenate([data.train, data.splits["test"]])
    assert len(data.train) == 8 and sorted(rows.tolist()) == IMAGES.reshape(16, 16).tolist()
    assert "another --test-fraction" in refusal(tmp_path / "a.npy", test_fraction=0.001)
    np.savez(tmp_path / "a.npz", train=IMAGES, test=OTHERS)
    assert "leave out --test-fraction" in refusal(tmp_path / "a.npz", test_fraction=0.5)


def test_a_choice_of_sorted_examples_has_all_classes(tmp_path, get):
    classes = np.repeat(np.arange(10), 100)[:, None].astype(np.float32)
    np.savez(tmp_path / "a.npz", train=classes, test=classes)
    some, first = (
        get(tmp_path / "a.npz", max_examples=100, first=first, scale="none")
        for first in (False, True)
    )
    assert set(some.train.ravel()) == set(range(10)) and set(first.train.ravel()) == {0}
    assert not np.array_equal(some.train, some.splits["test"])


@pytest.mark.parametrize("how", ["none", "dynamic", "standardised"])
def test_a_validation_split_selects_the_best_parameters(tmp_path, get, how):
    rest = np.random.default_rng(0).integers(0, 256, (7, 4, 4), np.uint8)
    arrays = {"train": IMAGES, "validation": rest, "test": OTHERS}
    values = {"likelihood": "bernoulli", "binarize": None if how == "dynamic" else "static"}
    if how == "standardised":
        arrays = {name: array.reshape(len(array), 16) for name, array in arrays.items()}
        values = {"likelihood": "gaussian"}
    np.savez(tmp_path / "a.npz", **arrays)
    plain, best = (get(tmp_path / "a.npz", select=how, **values) for how in ("last", "best"))
    assert "[train, test, validation for --select best]: 16 + 16" in best.description
    assert "not used: validation (7)" in plain.description
    assert (plain.held_out, best.held_out) == (0, 7) and len(best.train) == 23
    assert np.array_equal(best.train[:16], plain.train) and best.sha256 != plain.sha256
    for split in ("train", "test"):
        assert np.array_equal(best.splits[split], plain.splits[split])
    if how == "dynamic":
        assert np.array_equal(best.train[16:], rest.reshape(7, 16))
