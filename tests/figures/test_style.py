import pytest

from ratedistortion.figures.beta_scale import BetaScale
from ratedistortion.figures.style import log_ticks


def test_beta_scale_has_a_place_for_zero():
    scale = BetaScale([0.0, 0.1, 1.0, 10.0])
    zero, *others = scale.place([0.0, 0.1, 1.0, 10.0])
    assert 0 < zero < 0.05 and others == [0.1, 1, 10]
    assert scale.labels == ["0", "0.1", "1", "10"]
    assert len(set(scale.colours([0.0, 0.1, 1.0, 10.0]))) == 4


@pytest.mark.parametrize(
    "low, high, ticks",
    [
        (0.01, 10.0, [0.01, 0.1, 1, 10]),
        (0.1, 4.0, [0.1, 0.3, 1, 3]),
        (50.0, 500.0, [50, 100, 200, 500]),
        (1.0, 4.0, [1, 2, 3, 4]),
        (1.1, 2.0, [1.1, 1.3, 1.5, 1.7, 1.9]),
        (1.0, 1.0, [1]),
        (1.01, 1.02, [1.01]),
        (1e-6, 1e6, [1e-6, 1e-3, 1, 1e3, 1e6]),
    ],
)
def test_log_ticks(low, high, ticks):
    assert log_ticks(low, high) == pytest.approx(ticks)
