"""Writes and reads the table as a Parquet file, with checksums over all that it holds."""

import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet

from ratedistortion.errors import RunDirectoryError, SettingsError
from ratedistortion.settings.grid import MAX_RUNS
from ratedistortion.table.columns import COLUMNS, TYPED_COLUMNS
from ratedistortion.untrusted import read_given

# Version of the table's format, in its metadata as `schema_version`; columns are only ever added.
TABLE_VERSION = 1
_METADATA_KEY = b"ratedistortion"  # where a Parquet file holds the table's metadata
_FIRST_COLUMNS = 46  # of 0.1.0; every later version has these first
_MAX_BYTES = 1 << 30  # of a table, on disk and in memory
_WORDS = {"split": ("train", "test"), "status": ("ok", "suspect", "diverged")}
# What damaged JSON and damaged columns raise.
_DAMAGE = ValueError, KeyError, TypeError, AttributeError, RecursionError
_PARQUET_MAGIC = b"PAR1"  # the first and the last four bytes of every Parquet file

_TYPES = {
    "text": pyarrow.string(),
    "int": pyarrow.int64(),
    "float": pyarrow.float64(),
    "bool": pyarrow.bool_(),
}

ARROW_SCHEMA = pyarrow.schema(
    pyarrow.field(
        name,
        _TYPES[kind.rstrip("?")],
        nullable=kind.endswith("?"),
        metadata={"unit": unit, "description": description},
    )
    for name, kind, unit, description in TYPED_COLUMNS
)


def write(rows: list[dict[str, Any]], metadata: dict[str, Any]) -> bytes:
    """The bytes of a table: the same rows and metadata give the same bytes.

    Args:
        rows: Column name -> value. None and NaN stand for a missing number, as does a name that
            is left out; both become null.
        metadata: What else to keep, as JSON can hold it: settings, loss, versions, device,
            data_sha256, plan. `schema_version`, `convention` (what beta means) and `sha256` are
            added.

    Returns:
        A Parquet file with page checksums.

    Raises:
        ValueError: If a row has an unknown column, an infinite number, or no value where the
            schema needs one.
    """
    plain = pyarrow.Table.from_pylist(
        [_checked(row, n) for n, row in enumerate(rows)], ARROW_SCHEMA
    )
    metadata = metadata | {"schema_version": TABLE_VERSION, "convention": "loss = D + beta*R"}
    # `read` gets the metadata back from JSON: the checksum must be that of the same values.
    metadata = json.loads(json.dumps(metadata, allow_nan=False))
    metadata["sha256"] = _digest(plain, metadata)
    text = json.dumps(metadata, sort_keys=True)
    buffer = io.BytesIO()
    table = plain.replace_schema_metadata({_METADATA_KEY: text})
    pyarrow.parquet.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def read(path: Path) -> pandas.DataFrame:
    """Reads a table, with its checksums verified.

    Args:
        path: A Parquet file that `write` made.

    Returns:
        One row per (beta, seed, split), in nats. Columns of whole numbers and of truth
        values that may be missing are nullable; a missing float is NaN. `attrs["ratedistortion"]`
        has the metadata.

    Raises:
        SettingsError: If the file cannot be read, or is not one of our tables.
        RunDirectoryError: If it is one of them but damaged, cut short, or of a newer version.
    """
    return parse(path, read_given(path, _MAX_BYTES))


def parse(path: Path, data: bytes) -> pandas.DataFrame:
    """Reads a table from the content of its file.

    Args:
        path: The file, for errors.
        data: What `write` made.

    Returns:
        As of `read`.

    Raises:
        SettingsError: If it is not one of our tables.
        RunDirectoryError: As of `read`.
    """
    if not (data.startswith(_PARQUET_MAGIC) or data.endswith(_PARQUET_MAGIC)):
        raise SettingsError(f"{path}: not a Parquet file; expected the rd.parquet of a sweep.")
    try:
        reader = pyarrow.BufferReader(data)
        file = pyarrow.parquet.ParquetFile(reader, page_checksum_verification=True)
        text = (file.schema_arrow.metadata or {}).get(_METADATA_KEY)
        if text is None:
            raise SettingsError(f"{path}: a Parquet file, but not a table of rd-sweep.")
        metadata = json.loads(text)
        if metadata["schema_version"] <= TABLE_VERSION:
            _check_schema(file, metadata)
            table = file.read(use_threads=False)
            if metadata["sha256"] != _digest(table, metadata):
                raise ValueError("it does not match its SHA-256")
            _check_cells(table)
            return _frame(table, metadata)
    except (pyarrow.ArrowException, OSError, *_DAMAGE) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunDirectoryError(
            f"{path}: the table is damaged or cut short ({reason}); restore it or sweep again."
        ) from error
    raise RunDirectoryError(
        f"{path}: the table has schema version {metadata['schema_version']} and this program reads "
        f"versions up to {TABLE_VERSION}: upgrade ratedistortion."
    )


def _checked(row: dict[str, Any], n: int) -> dict[str, Any]:
    if unknown := sorted(row.keys() - set(COLUMNS)):
        raise ValueError(f"row {n}: no column is called {unknown[0]!r}.")
    cells = {}
    for field in ARROW_SCHEMA:
        value: Any = row.get(field.name)
        value = value.item() if hasattr(value, "item") else value  # NumPy and JAX scalars
        if isinstance(value, float) and not math.isfinite(value):
            if not math.isnan(value):
                raise ValueError(f"row {n}: {field.name} must be finite: got {value}.")
            value = None
        if value is None and not field.nullable:
            raise ValueError(f"row {n}: {field.name} must have a value: got none.")
        cells[field.name] = value
    return cells


def _check_schema(file: pyarrow.parquet.ParquetFile, metadata: dict[str, Any]) -> None:
    """Refuses a file that is no table of ours, before its cells are read."""
    schema, groups = file.schema_arrow, file.metadata
    size = sum(groups.row_group(n).total_byte_size for n in range(groups.num_row_groups))
    if groups.num_rows > 2 * MAX_RUNS or size > _MAX_BYTES:
        raise ValueError(f"{groups.num_rows:,} rows of {size:,} bytes")
    if tuple(schema.names[:_FIRST_COLUMNS]) != COLUMNS[:_FIRST_COLUMNS]:
        raise ValueError("its columns are others")
    if len(set(schema.names)) < len(schema.names):
        raise ValueError("a column is there twice")
    for field in schema:
        if field.name in COLUMNS and field.type != ARROW_SCHEMA.field(field.name).type:
            raise ValueError(f"{field.name} is of type {field.type}")
    if not isinstance(metadata.get("settings", {}), dict):
        raise ValueError("its settings are no object")


def _check_cells(table: pyarrow.Table) -> None:
    """Refuses cells that no sweep writes: numbers that are not finite, words without a meaning."""
    for name in table.column_names:
        if name not in COLUMNS:
            continue
        column, field = table.column(name), ARROW_SCHEMA.field(name)
        values = column.drop_null()
        if len(values) < len(column) and not field.nullable:
            raise ValueError(f"{name} has no value in {len(column) - len(values)} rows")
        if field.type == pyarrow.float64() and not np.isfinite(values.to_numpy()).all():
            raise ValueError(f"{name} is not finite")
        least = 1 if name in ("dimensions", "examples", "latents") else 0
        if field.type == pyarrow.int64() and len(values) and values.to_numpy().min() < least:
            raise ValueError(f"{name} is below {least}")
        if not set(values.to_pylist()) <= set(_WORDS.get(name, values.to_pylist())):
            raise ValueError(f"{name} has other words than {', '.join(_WORDS[name])}")


def _digest(table: pyarrow.Table, metadata: dict[str, Any]) -> str:
    """SHA-256 of all values and metadata; the page checksums leave out headers and metadata."""
    kept = {name: value for name, value in metadata.items() if name != "sha256"}
    text = json.dumps([table.to_pylist(), kept], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _frame(table: pyarrow.Table, metadata: dict[str, Any]) -> pandas.DataFrame:
    frame = table.to_pandas()
    for field in table.schema:
        name = {pyarrow.bool_(): "boolean", pyarrow.int64(): "Int64"}.get(field.type)
        if field.nullable and name:
            frame[field.name] = frame[field.name].astype(name)
    frame.attrs["ratedistortion"] = metadata
    return frame
