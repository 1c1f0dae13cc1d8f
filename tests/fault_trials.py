"""A sweep without JAX, which stores what a sweep stores, and what faults at its files do to it."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from chunk_files import read_result, read_rows, read_state, write_result, write_rows, write_state
from faulty_files import FaultyOs, Killed

from ratedistortion.errors import RateDistortionError, RunDirectoryError
from ratedistortion.files import lock_file
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.run_directory.sealed import read_sealed, seal

_STEPS, _ROWS, _CHUNKS = 2, 2, 2


def store(path: Path) -> None:
    """A sweep of one chunk until it is finished; then it is extended by a second."""
    for chunks in range(1, _CHUNKS + 1):
        with RunDirectory(path) as directory:
            _store(directory, chunks)


def _store(directory: RunDirectory, chunks: int) -> None:
    path, manifest = directory.path, reading.read_manifest(directory.path)
    if manifest is None or len(manifest["parts"]) < chunks:
        directory.remove(directory.path / reading.TABLE)
        directory.write_manifest(_manifest(chunks))
    elif len(manifest["parts"]) > chunks:
        return
    elif (table := path / reading.TABLE).exists():
        read_sealed(table, f"delete {table} to have it computed again")
        return
    if not (path / reading.DATA).exists():
        directory.write_arrays(reading.DATA, {"data": np.arange(8.0)})
    directory.log({"event": "data"})
    results = []
    for chunk in range(chunks):
        if read_result(path, chunk, _sweep_id(chunk)) is None:
            _compute(directory, chunk)
        result = read_result(path, chunk, _sweep_id(chunk))
        assert result is not None
        results.append(result)
    pictures = {f"{n}": arrays["samples"] for n, (_, arrays) in enumerate(results)}
    directory.write_arrays(reading.IMAGES, pictures)
    directory.write_manifest(_manifest(chunks))
    directory.write_table(seal({"rows": [values["rows"] for values, _ in results]}))


def _compute(directory: RunDirectory, chunk: int) -> None:
    owner = _sweep_id(chunk)
    steps, leaves = read_state(directory.path, chunk, owner) or (0, [np.full(5, chunk + 0.1)])
    rows = read_rows(directory.path, chunk, owner) if steps == _STEPS else []
    for step in range(steps, _STEPS):
        leaves = [leaf * 1.7 + step for leaf in leaves]
        write_state(directory, chunk, owner, step + 1, leaves)
    for n in range(len(rows), _ROWS):
        rows.append({"rate": float(leaves[0][n])})
        directory.write_arrays(f"posteriors/{chunk},{n}.npz", {"mean": leaves[0] * n})
        write_rows(directory, chunk, owner, rows)
    write_result(directory, chunk, owner, {"rows": rows}, {"samples": leaves[0]})
    directory.log({"event": "chunk"})


def _sweep_id(chunk: int) -> str:
    return f"part {chunk}"


def _manifest(chunks: int) -> dict[str, Any]:
    empty = {"settings": {}, "versions": {}, "device": "", "data_sha256": ""}
    return {"schema": reading.MANIFEST_VERSION, "parts": list(range(chunks)), **empty}


def stored(path: Path) -> dict[str, bytes]:
    """Everything in a directory, but for lock, log, and rows that a result has made needless."""
    files = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if not name.endswith(_LEFT_OUT)}


_LEFT_OUT = (".lock", reading.LOG, "rows")


def operations(path: Path) -> tuple[int, list[int]]:
    """How many operations an undisturbed sweep makes, and which of them write bytes."""
    with _through(FaultyOs(path)) as faulty:
        store(path)
    return faulty.count, faulty.writes


def trial(path: Path, kind: str, place: int, expected: dict[str, bytes]) -> str:
    """Disturbs a sweep and runs it again undisturbed.

    Returns:
        What is wrong with that; empty if the second leaves the same bytes as if nothing had been.
    """
    shutil.rmtree(path, ignore_errors=True)
    faulty, said = FaultyOs(path, kind, place), ""
    with _through(faulty):
        try:
            store(path)
        except (Killed, KeyboardInterrupt):
            pass
        except RateDistortionError as error:
            said = str(error)
            if "cannot be written" not in said or "\n" in said:
                return f"it said: {said}"
    faulty.lose_power()
    with _through(FaultyOs(path)):
        for _ in range(5):
            try:
                store(path)
            except RunDirectoryError as error:
                # Only a disk that lies may leave damage; the advice must be of use.
                advice = re.search(r"delete (\S+) to have it computed again", str(error))
                if "liar" not in kind or "damaged" not in str(error):
                    return f"then: {error}"
                broken = Path(advice[1]) if advice else path
                shutil.rmtree(broken) if broken.is_dir() else broken.unlink()
            else:
                break
    after = stored(path)
    if kind == "power: liar" and after[reading.DATA] == b"":
        after[reading.DATA] = expected[reading.DATA]  # what draws the data refuses that file
    differing = sorted(
        name for name in {**after, **expected} if after.get(name) != expected.get(name)
    )
    return f"{', '.join(differing)} differ" if differing else ""


@contextlib.contextmanager
def _through(faulty: FaultyOs) -> Iterator[FaultyOs]:
    """The files of the package go through a stand-in; locks end with it, as of a process."""
    locks = []

    def noted(path: Path) -> Any:
        locks.append(lock_file(path))
        return locks[-1]

    with (
        mock.patch("ratedistortion.files.os", faulty),
        mock.patch("ratedistortion.run_directory.directory.lock_file", noted),
    ):
        try:
            yield faulty
        finally:
            for lock in locks:
                lock.close()
