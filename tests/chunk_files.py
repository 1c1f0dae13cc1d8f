"""Files of a chunk as a sweep writes and reads them, for tests that have no sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.run_directory.reading import RESULT, ROWS, STATE, ChunkFiles


def write_state(
    directory: RunDirectory, chunk: int, sweep_id: str, steps: int, leaves: Sequence[np.ndarray]
) -> None:
    """Checkpoints a chunk."""
    arrays = {f"leaf{n}": leaf for n, leaf in enumerate(leaves)}
    files = ChunkFiles(directory.path, chunk, sweep_id)
    directory.write_chunk(files, STATE, {"steps": steps}, arrays)


def read_state(path: Path, chunk: int, sweep_id: str) -> tuple[int, list[np.ndarray]] | None:
    """Steps and leaves of a checkpoint; None without one."""
    if (found := ChunkFiles(path, chunk, sweep_id).read(STATE)) is None:
        return None
    values, arrays = found
    return values["steps"], [arrays[f"leaf{n}"] for n in range(len(arrays))]


def write_rows(directory: RunDirectory, chunk: int, sweep_id: str, rows: Sequence[Any]) -> None:
    """Keeps the rows that are measured so far."""
    directory.write_chunk(ChunkFiles(directory.path, chunk, sweep_id), ROWS, {"rows": list(rows)})


def read_rows(path: Path, chunk: int, sweep_id: str) -> list[Any]:
    """The rows that are measured so far."""
    found = ChunkFiles(path, chunk, sweep_id).read(ROWS)
    return found[0]["rows"] if found else []


def write_result(
    directory: RunDirectory,
    chunk: int,
    sweep_id: str,
    result: Mapping[str, Any],
    pictures: Mapping[str, np.ndarray],
) -> None:
    """Stores what a chunk came to."""
    files = ChunkFiles(directory.path, chunk, sweep_id)
    directory.write_chunk(files, RESULT, result, pictures)
    directory.remove(files.path(ROWS))


def read_result(path: Path, chunk: int, sweep_id: str) -> Any:
    """What `write_result` got; None where the chunk is not done."""
    return ChunkFiles(path, chunk, sweep_id).read(RESULT)
