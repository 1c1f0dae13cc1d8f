"""The digits and the synthetic sources: what they hold, and what a bad specification gets."""

import hashlib

import numpy as np
import pytest

from ratedistortion.datasets import DATASETS
from ratedistortion.theory import patterns

# One example of each family, and the beginning of its hash in the first release. Runs are compared
# by the hash of their data, so a release must not change it. The last digits of normal random
# numbers differ between processors.
FAMILIES = {
    "digits": ("digits", "db0170aca09b"),
    "gaussian": ("gaussian:4,1,0.25", ""),
    "bernoulli": ("bernoulli:.3,9", "c679ef38f862"),
    "patterns": ("patterns:4,9,.1", "16cfde2bdeb7"),
}


def test_every_family_has_an_example_here():
    assert FAMILIES.keys() == DATASETS.keys()


@pytest.mark.parametrize(("specification", "sha256"), FAMILIES.values(), ids=list(FAMILIES))
def test_every_family_keeps_the_contract(specification, sha256, get):
    data, few = get(specification), get(specification, max_examples=7, first=True)
    assert data.sha256.startswith(sha256) and few.sha256 != data.sha256
    assert data.name == specification and not data.dynamic
    assert data.splits["train"] is data.train and list(data.splits) == ["train", "test"]
    assert data.train.dtype in (np.uint8, np.float32)
    assert data.train.shape[1] == np.prod(data.shape) == data.splits["test"].shape[1]
    assert np.array_equal(few.train, data.train[:7])
    assert np.array_equal(few.splits["test"], data.splits["test"][:7])


@pytest.mark.parametrize("name", DATASETS)
def test_every_family_refuses_a_bad_specification(name, refusal):
    assert f"got '{name}:x'" in refusal(f"{name}:x")


@pytest.mark.parametrize(
    "specification",
    ["gaussian", "gaussian:", "gaussian:0,-1", "gaussian:nan", "gaussian:inf", "gaussian:1,,2"]
    + ["bernoulli", "bernoulli:2,10", "bernoulli:.5", "bernoulli:.5,0", "bernoulli:.5,2.5"]
    + ["bernoulli:nan,3", "bernoulli:.5,inf", "bernoulli:.5,1e9", "digits:3"]
    + ["patterns", "patterns:4,8", "patterns:0,8,.1", "patterns:4,2.5,.1", "patterns:4,8,.5"]
    + ["patterns:4,8,0", "patterns:nan,8,.1", "patterns:1e9,8,.1", "patterns:4,1e9,.1"],
)
def test_bad_specifications_are_refused(specification, refusal):
    text = refusal(specification)
    assert specification in text and specification.split(":")[0] in text


def test_digits_are_those_of_scikit_learn(get):
    data = get("digits")
    assert data.shape == (8, 8, 1) and data.scale == 1 / 16
    assert len(data.train) == 1498 and len(data.splits["test"]) == 299
    rows = sorted(row.tobytes() for row in (*data.train, *data.splits["test"]))
    # SHA-256 of the rows of load_digits() in scikit-learn 1.9.1, as bytes and sorted.
    expected = "d34fb8ecae8dd76408eb4241f93dd5e31df5a84fe18291efd0ee1ae70b2122aa"
    assert hashlib.sha256(b"".join(rows)).hexdigest() == expected


def test_gaussian_has_its_variances(get):
    data = get("gaussian:4,1,0.25")
    assert data.train.shape == (200_000, 3) and data.splits["test"].shape == (200_000, 3)
    assert data.shape == (3,) and data.scale == 1 and data.train.dtype == np.float32
    assert data.sha256 == get("gaussian:4,1,0.25").sha256
    # The numbers of the first release.
    first = [-3.773242, 0.25598642, 0.15342559]
    assert np.allclose(data.train[19_999], first, rtol=1e-6)
    # Four standard errors: that of a variance of n normal numbers is sqrt(2/n) of the variance.
    assert np.allclose(data.train.var(0), [4, 1, 0.25], rtol=4 * np.sqrt(2 / 200_000))
    assert np.all(np.abs(np.corrcoef(data.train.T) - np.eye(3)) < 4 / np.sqrt(200_000))


def test_bernoulli_has_its_probability(get):
    data = get("bernoulli:0.3,16", likelihood="bernoulli")
    assert data.train.shape == (200_000, 16) and data.splits["test"].shape == (200_000, 16)
    assert data.train.dtype == np.uint8 and data.scale == 1
    # Four standard errors.
    assert np.all(np.abs(data.train.mean(0) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 200_000))


def test_patterns_are_patterns_with_flips(get):
    data = get("patterns:16,64,0.05", likelihood="bernoulli")
    assert data.train.shape == (200_000, 64) and data.splits["test"].shape == (200_000, 64)
    assert data.train.dtype == np.uint8 and data.scale == 1
    templates = patterns.templates(patterns.parse("16,64,0.05"))
    for images in data.splits.values():
        flips = (images[:20_000, None] != templates).sum(-1)
        nearest = flips.argmin(1)
        # Five standard errors, of the 16 equal shares and of the share of flipped pixels.
        shares = np.bincount(nearest, minlength=16) / 20_000
        assert np.all(np.abs(shares - 1 / 16) < 5 * np.sqrt(1 / 16 * 15 / 16 / 20_000))
        error = np.sqrt(0.05 * 0.95 / (64 * 20_000))
        assert abs(flips.min(1).mean() / 64 - 0.05) < 5 * error
    assert not np.array_equal(data.train[:100], data.splits["test"][:100])
