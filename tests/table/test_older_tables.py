"""Tables that earlier versions wrote are read, drawn and summed up by this one.

`digits-0.1.0.parquet` is the sweep of `rd-sweep runs/digits` before 0.1.0 was released: 12
models on digits, Python 3.11, JAX 0.10.2. The numbers below were read from the file by pyarrow.
"""

from pathlib import Path

import mnist_like
import pandas
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import ratedistortion
from ratedistortion.cli.plot import main
from ratedistortion.table import COLUMNS

DIGITS = Path(__file__).parent / "digits-0.1.0.parquet"
FROM_A_TABLE = ("rate-distortion", "information", "bounds")  # the other kinds need a run directory


@pytest.fixture(scope="module")
def frame() -> pandas.DataFrame:
    return ratedistortion.read(DIGITS)


def test_its_cells_are_what_they_were(frame):
    assert len(frame) == 24 and frame["split"].tolist() == ["train", "test"] * 12
    assert set(frame["status"]) == {"ok"} and frame["active_units"][1] == 32
    first, middle = frame.loc[0], frame.loc[15]
    assert (first["beta"], first["examples"], first["steps"]) == (0.01, 1498, 1400)
    assert first["rate"] == 76.6563376208849 and first["distortion"] == 0.7087461525034682
    assert (middle["beta"], middle["split"]) == (0.811131, "test")
    assert middle["mutual_information"] == 4.999058889858426
    assert middle["marginal_kl"] == 1.8186670778204486
    metadata = frame.attrs["ratedistortion"]
    assert metadata["schema_version"] == 1 and metadata["versions"]["jax"] == "0.10.2"
    assert metadata["settings"]["epochs"] == 100


def test_its_columns_are_the_first_and_later_ones_are_absent(frame):
    names = pyarrow.parquet.read_schema(DIGITS).names
    assert len(names) == 46 and tuple(names) == COLUMNS[:46]
    assert list(frame.columns) == names


@pytest.mark.parametrize("kind", FROM_A_TABLE)
@pytest.mark.parametrize("units", ["nats", "bits", "bits-per-dim"])
def test_it_is_drawn_in_every_unit(frame, kind, units):
    split = "train" if units == "bits" else "test"
    assert isinstance(ratedistortion.figure(frame, kind, units, split), Figure)


@pytest.mark.parametrize("kind", FROM_A_TABLE)
def test_it_is_drawn_beside_a_new_one(frame, tmp_path, kind):
    new = mnist_like.read(tmp_path, mnist_like.rows())
    assert isinstance(ratedistortion.figure({"older": frame, "newer": new}, kind), Figure)


def test_its_summary_is_printed():
    result = CliRunner().invoke(main, [str(DIGITS), "--summary"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Best -ELBO: 23.70 ±0.26 at beta 0.8111, seed 0." in result.stdout
    assert len([line for line in result.stdout.splitlines() if " ±" in line]) >= 12
