import matplotlib
import pytest
from drawing import draw
from matplotlib.figure import Figure

from ratedistortion.errors import SettingsError
from ratedistortion.figures import FIGURES, save


@pytest.mark.parametrize("kind", FIGURES)
def test_the_same_table_gives_the_same_bytes(frame, tmp_path, kind):
    # A PDF takes longest, because it holds the font: one with lines and one with images are enough.
    suffixes = ["png", "svg"] + ["pdf"] * (kind in ("rate-distortion", "gallery"))

    def saved():
        drawn = draw(frame, kind)
        for suffix in suffixes:
            save(drawn, tmp_path / f"figure.{suffix}")
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    first = saved()
    # A user's matplotlibrc changes nothing.
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 50, "lines.linewidth": 9}):
        assert saved() == first
    assert set(first) == {f"figure.{suffix}" for suffix in suffixes}


@pytest.mark.parametrize("name", ["figure.jpg", "figure", "png"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(SettingsError, match="suffix must be one of .png, .pdf, .svg"):
        save(Figure(), tmp_path / name)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="cannot be written: No such file or directory"):
        save(Figure(), tmp_path / "none" / "figure.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SettingsError, match="cannot be written: Is a directory"):
        save(Figure(), tmp_path / "folder.png")
