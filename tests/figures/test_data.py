"""The figure of the data: what a sweep has read, before it has a table."""

import numpy as np
import pytest

from ratedistortion.datasets import load
from ratedistortion.figures import data_figure
from ratedistortion.settings import Settings

COLOURS = np.random.default_rng(0).integers(0, 256, (200, 5, 4, 3), np.uint8)
COLOURS.flat[:2] = 0, 255


@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        ("digits", {}),
        ("digits", {"likelihood": "categorical", "levels": 17}),
        (COLOURS, {"likelihood": "gaussian", "layout": "NHWC"}),
        (COLOURS[..., 0].reshape(200, 20) * 1e9, {"likelihood": "gaussian"}),
        (COLOURS[:20], {"likelihood": "gaussian", "layout": "NHWC", "batch_size": 2}),
        (np.ones((200, 3)), {"likelihood": "gaussian"}),
    ],
)
def test_examples_values_and_mean_are_drawn(dataset, values):
    data = load(Settings(dataset=dataset, **values))
    preview = data.preview()
    for split in ("train", "test"):
        assert preview[split].shape == (min(32, len(data.splits[split])), *data.shape)
        assert preview[f"{split}_counts"].sum() == data.splits[split].size
    figure = data_figure(preview, data.description)
    shown = [axes for axes in figure.axes if axes.images or axes.lines or axes.patches]
    assert len(shown) >= 4
    assert figure.get_suptitle().replace("\n", " ") == data.description
    figure.canvas.draw()


def test_the_mean_is_that_of_the_probabilities():
    data = load(Settings())
    mean = data.preview()["mean"].ravel()
    assert np.allclose(mean, data.train.mean(0) / 16, atol=1e-6)
