import hashlib
import io
import json
import math
import os

import mnist_like
import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratedistortion.errors import RunDirectoryError, SettingsError
from ratedistortion.table import COLUMNS, parquet

# The contract with every reader of a table: names and order stay.
PROMISED = """dataset split beta seed encoder decoder prior likelihood latents dimensions examples
steps status diverged_at_step rate rate_se distortion distortion_se negative_elbo negative_elbo_se
mutual_information mutual_information_se mutual_information_lower mutual_information_upper
log_examples saturated marginal_kl marginal_kl_se marginal_kl_gaussian identity_residual
population_information_upper active_units""".split()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rd.parquet"


def rows():
    return mnist_like.rows((0.1, 1.0), seeds=2, diverged={(1.0, 1)})


def test_columns_keep_their_names_and_order(path):
    assert list(COLUMNS[: len(PROMISED)]) == PROMISED
    path.write_bytes(parquet.write(rows(), {}))
    assert tuple(pyarrow.parquet.read_schema(path).names) == COLUMNS
    assert tuple(parquet.read(path).columns) == COLUMNS


def test_every_field_has_a_unit_and_a_description(path):
    path.write_bytes(parquet.write(rows(), {}))
    for field in pyarrow.parquet.read_schema(path):
        assert set(field.metadata) == {b"unit", b"description"} and field.metadata[b"description"]


def test_missing_numbers_are_nulls_and_never_nan(path):
    found = rows()
    found[0] |= {"rate": math.nan, "distortion": np.float32("nan"), "rate_se": None}
    path.write_bytes(parquet.write(found, {}))
    arrow = pyarrow.parquet.read_table(path)
    for name in ("rate", "distortion", "rate_se"):
        assert arrow[name].to_pylist()[0] is None and arrow[name].null_count == 2
    assert arrow["saturated"].to_pylist() == [True, True, True, None]


def test_types_of_the_frame(path):
    path.write_bytes(parquet.write(rows(), {}))
    frame = parquet.read(path)
    assert frame["seed"].dtype == np.int64 and frame["rate"].dtype == np.float64
    assert frame["saturated"].tolist()[:3] == [True] * 3 and frame["saturated"].isna().sum() == 1
    assert frame["diverged_at_step"].dropna().tolist() == [40]
    assert str(frame["diverged_at_step"].dtype) == "Int64"


def test_metadata_is_json_with_sorted_keys(path):
    given_ = {"versions": {"numpy": "2"}, "plan": {10: [0], 2: [1]}, "device": "cpu"}
    path.write_bytes(parquet.write(rows(), given_))
    text = pyarrow.parquet.read_schema(path).metadata[b"ratedistortion"]
    metadata = json.loads(text)
    assert text.decode() == json.dumps(metadata, sort_keys=True)
    assert metadata["convention"] == "loss = D + beta*R" and metadata["schema_version"] == 1
    assert metadata["plan"] == {"10": [0], "2": [1]}
    assert parquet.read(path).attrs["ratedistortion"] == metadata


def test_the_same_rows_give_the_same_bytes():
    assert parquet.write(rows(), {"a": 1, "b": 2}) == parquet.write(rows(), {"b": 2, "a": 1})


def test_numpy_scalars_are_taken():
    plain = rows()
    numpy = [{name: np.asarray(v)[()] for name, v in row.items()} for row in plain]
    assert parquet.write(numpy, {}) == parquet.write(plain, {})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rate": math.inf}, "row 1: rate must be finite: got inf"),
        ({"rate": np.float64("-inf")}, "row 1: rate must be finite: got -inf"),
        ({"log_examples": math.nan}, "row 1: log_examples must have a value"),
        ({"status": None}, "row 1: status must have a value"),
        ({"ratee": 1.0}, "row 1: no column is called 'ratee'"),
    ],
)
def test_rows_that_cannot_be_stored_are_refused(change, message):
    found = rows()
    found[1] |= change
    with pytest.raises(ValueError, match=message):
        parquet.write(found, {})


FLOATS = st.floats(allow_infinity=False)
VALUES = {
    pyarrow.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    pyarrow.int64(): st.integers(1, 2**53),
    pyarrow.float64(): FLOATS,
    pyarrow.bool_(): st.booleans(),
}
WORDS = {"split": ["train", "test"], "status": ["ok", "suspect", "diverged"]}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            field.name: st.sampled_from(WORDS[field.name])
            if field.name in WORDS
            else (
                VALUES[field.type] | st.none()
                if field.nullable
                else VALUES[field.type].filter(lambda value: value == value)
            )
            for field in parquet.ARROW_SCHEMA
        }
    ),
    max_size=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS)
def test_round_trip(path, found):
    path.write_bytes(parquet.write(found, {}))
    frame = parquet.read(path)
    assert len(frame) == len(found)
    for row, (_, read) in zip(found, frame.iterrows(), strict=True):
        for name, value in row.items():
            if value is None or value != value:
                assert pandas.isna(read[name])
            else:
                assert read[name] == value


def test_every_damaged_byte_is_detected_or_harmless(path):
    good = parquet.write(rows(), {"settings": {"seeds": 2}})
    path.write_bytes(good)
    frame = parquet.read(path)
    detected = 0
    for place in range(0, len(good), 97):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        try:
            again = parquet.read(path)
        except (RunDirectoryError, SettingsError) as error:
            assert "\n" not in str(error)
            detected += 1
        else:
            assert again.equals(frame) and again.attrs == frame.attrs
    assert detected > 50


def test_a_damaged_page_is_caught_by_its_checksum(path):
    """The pages of the first column start after the magic; its first value is inside."""
    good = parquet.write(rows(), {})
    place = good.index(b"binarized_mnist")
    path.write_bytes(good[:place] + b"B" + good[place + 1 :])
    with pytest.raises(RunDirectoryError, match="CRC checksum"):
        parquet.read(path)


@pytest.mark.parametrize("keep", [4, 5, 100, 5000, -1, -4, -9])
def test_a_table_cut_short_is_damaged(path, keep):
    path.write_bytes(parquet.write(rows(), {})[:keep])
    with pytest.raises(RunDirectoryError, match="damaged or cut short") as caught:
        parquet.read(path)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 4


@pytest.mark.parametrize("data", [b"", b"beta,rate\n1,2\n", b"\x00" * 100])
def test_another_kind_of_file_is_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(SettingsError, match="not a Parquet file"):
        parquet.read(path)


def test_a_foreign_parquet_file_is_refused(path):
    pandas.DataFrame({"rate": [1.0]}).to_parquet(path)
    with pytest.raises(SettingsError, match="a Parquet file, but not a table of rd-sweep"):
        parquet.read(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(SettingsError, match="cannot be read"):
            parquet.read(path)


def test_a_newer_version_says_so(path, monkeypatch):
    monkeypatch.setattr(parquet, "TABLE_VERSION", 2)
    path.write_bytes(parquet.write(rows(), {}))
    monkeypatch.undo()
    with pytest.raises(RunDirectoryError, match="schema version 2 .* up to 1: upgrade"):
        parquet.read(path)


def forged(change) -> bytes:
    """A table that was changed by somebody who also knows how to make its SHA-256."""
    table = pyarrow.parquet.read_table(io.BytesIO(parquet.write(rows(), {"settings": {}})))
    metadata = json.loads(table.schema.metadata[b"ratedistortion"])
    table = change(table.replace_schema_metadata(), metadata)
    kept = {name: value for name, value in metadata.items() if name != "sha256"}
    text = json.dumps([table.to_pylist(), kept], sort_keys=True)
    metadata["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    file = io.BytesIO()
    table = table.replace_schema_metadata({b"ratedistortion": json.dumps(metadata)})
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def with_cell(name, value):
    """Sets the first cell of a column, whatever its type."""

    def change(table, _):
        cells = [value, *table.column(name).to_pylist()[1:]]
        place = table.column_names.index(name)
        cells = [value] * len(cells) if isinstance(value, str) else cells
        return table.set_column(place, name, pyarrow.array(cells))

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(lambda table, _, name=name: table.drop_columns([name]) for name in ("rate", "beta")),
        lambda table, _: table.append_column("rate", table.column("rate")),
        lambda table, _: table.select(table.column_names[::-1]),
        lambda table, metadata: metadata.update(settings=[1]) or table,
        lambda table, metadata: metadata.update(schema_version="one") or table,
        lambda table, metadata: metadata.pop("schema_version") and table,
        with_cell("rate", "text"),
        with_cell("rate", math.inf),
        with_cell("beta", math.nan),
        with_cell("seed", None),
        with_cell("examples", 0),
        with_cell("seed", -1),
        with_cell("split", "validation"),
        with_cell("status", "fine"),
    ],
)
def test_forged_tables_are_refused(path, change):
    path.write_bytes(forged(change))
    with pytest.raises(RunDirectoryError, match="the table is damaged") as caught:
        parquet.read(path)
    assert len(str(caught.value)) - len(str(path)) < 400 and "\n" not in str(caught.value)


def test_a_forged_table_that_changes_nothing_is_read(path):
    path.write_bytes(forged(lambda table, _: table))
    assert len(parquet.read(path)) == len(rows())


def test_a_table_of_more_rows_than_a_sweep_can_have_is_refused(path, monkeypatch):
    path.write_bytes(parquet.write(rows(), {}))
    monkeypatch.setattr(parquet, "MAX_RUNS", 2)  # each has a row for train and one for test
    assert len(parquet.read(path)) == 4
    monkeypatch.setattr(parquet, "MAX_RUNS", 1)
    with pytest.raises(RunDirectoryError, match=r"the table is damaged or cut short \(4 rows of"):
        parquet.read(path)


def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.parquet")
    (tmp_path / "zero.parquet").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(SettingsError, match="cannot be read"):
            parquet.read(tmp_path / f"{name}.parquet")
