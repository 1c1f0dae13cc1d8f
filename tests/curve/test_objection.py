"""What forbids a verdict on a sweep."""

import re

import numpy as np
import pytest

from ratedistortion.curve import objection


@pytest.mark.parametrize(
    "settings_, columns, reason",
    [
        ({}, {}, None),
        ({"free_bits": 0.0, "warmup": 800}, {"free_bits": 0.0}, None),
        ({}, {"free_bits": [0.1, np.nan]}, "with free bits the loss is not D [+] beta R"),
        ({"free_bits": 0.1}, {}, "with free bits"),
        ({"warmup": 801}, {}, "beta was still rising for 801 of 1,000 steps"),
    ],
)
def test_what_forbids_a_verdict(rows, settings_, columns, reason):
    frame = rows(beta=[1.0, 2.0], rate=[3.0, 1.0], distortion=[4.0, 6.0], steps=1000, **columns)
    if not columns:
        assert objection(frame) is None  # a table without metadata
    frame.attrs["ratedistortion"] = {"settings": settings_}
    assert re.search(reason or "^None$", str(objection(frame)))


def test_how_other_people_trained_is_not_known(rows):
    frame = rows(beta=[1.0, 2.0], rate=[3.0, 1.0], distortion=[4.0, 6.0])
    assert "not known how these points were trained" in str(objection(frame))
