"""Two sweeps in one place: each writes to its own directory, whatever becomes of the folder."""

import errno
import fcntl
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from chunk_files import read_result, read_rows, read_state, write_result, write_rows, write_state
from fault_trials import stored

from ratedistortion import files
from ratedistortion.errors import LockedError, RateDistortionError, RunDirectoryError
from ratedistortion.run_directory import reading
from ratedistortion.run_directory.directory import RunDirectory

FIRST, SECOND = "a" * 64, "b" * 64


def manifest(device: str):
    values = {"schema": reading.MANIFEST_VERSION, "settings": {}, "parts": [], "versions": {}}
    return values | {"device": device, "data_sha256": "0"}


def begin(path: Path, sweep: str) -> RunDirectory:
    directory = RunDirectory(path)
    directory.write_manifest(manifest(sweep))
    write_state(directory, 0, sweep, 1, [np.zeros(2)])
    return directory


def writes(directory: RunDirectory, sweep: str):
    """Everything that an owner may write or remove, each as a function."""
    return {
        "manifest": lambda: directory.write_manifest(manifest(sweep)),
        "state": lambda: write_state(directory, 0, sweep, 2, [np.ones(2)]),
        "rows": lambda: write_rows(directory, 0, sweep, [{"rate": 1.0}]),
        "result": lambda: write_result(directory, 0, sweep, {"rows": []}, {"a": np.ones(2)}),
        "arrays": lambda: directory.write_arrays("posteriors/a.npz", {"a": np.ones(2)}),
        "table": lambda: directory.write_table(b"table"),
        "log": lambda: directory.log({"event": "x"}),
        "no table": lambda: directory.remove(directory.path / reading.TABLE),
    }


WRITES = list(writes(None, ""))  # pyright: ignore[reportArgumentType]


def refused(write, *words: str) -> None:
    with pytest.raises(RunDirectoryError) as caught:
        write()
    text = str(caught.value)
    assert "\n" not in text and [word for word in words if word not in text] == []


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("gone", ["moved", "removed"])
def test_nothing_is_written_where_a_directory_was(tmp_path, gone, write):
    path = tmp_path / "run"
    with begin(path, FIRST) as first:
        path.rename(tmp_path / "old") if gone == "moved" else shutil.rmtree(path)
        refused(writes(first, FIRST)[write], str(path), "was moved or removed")
        assert not path.exists()
    assert not path.exists()
    if gone == "moved":
        with RunDirectory(tmp_path / "old") as moved:  # what was stored goes on there
            assert read_state(moved.path, 0, FIRST) is not None


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("gone", ["moved", "removed", "unlocked"])
def test_a_second_sweep_in_the_place_of_a_first_has_it_alone(tmp_path, gone, write):
    path = tmp_path / "run"
    with begin(path, FIRST) as first:
        if gone == "moved":
            path.rename(tmp_path / "old")
        elif gone == "removed":
            shutil.rmtree(path)
        else:
            shutil.rmtree(path / "chunks")
            (path / ".lock").unlink()
        with begin(path, SECOND) as second:
            second.write_table(b"second")
            before = stored(path)
            owner = f"process {os.getpid()} on {socket.gethostname()}, since 20"
            refused(writes(first, FIRST)[write], str(path), f"was taken over by {owner}")
            first.__exit__()
            assert stored(path) == before
            with pytest.raises(LockedError, match=f"in use by {owner}"):
                RunDirectory(path)
            write_state(second, 0, SECOND, 2, [np.ones(2)])
        with RunDirectory(path) as third:
            steps, _ = read_state(third.path, 0, SECOND)
        assert steps == 2


def no_lock(*_):
    return None


def refusing(number: int):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    return flock


NO_LOCKS = {
    "do nothing": no_lock,
    "are not there": refusing(errno.ENOSYS),
    "are refused": refusing(errno.ENOLCK),
    "are not supported": refusing(errno.ENOTSUP),
}


@pytest.mark.parametrize("locks", NO_LOCKS)
def test_where_locks_do_nothing_the_second_owner_has_it_and_the_first_ends(
    tmp_path, monkeypatch, locks
):
    monkeypatch.setattr(fcntl, "flock", NO_LOCKS[locks])
    path = tmp_path / "run"
    with begin(path, FIRST) as first:
        write_state(first, 0, FIRST, 2, [np.ones(2)])
        with RunDirectory(path) as second:
            refused(lambda: first.write_table(b"first"), "was taken over by process")
            assert read_state(second.path, 0, FIRST) is not None
            second.write_table(b"second")
        assert (path / reading.TABLE).read_bytes() == b"second"


def test_who_ends_before_there_is_a_manifest_leaves_a_second_s_alone(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), RunDirectory(path):
        path.rename(tmp_path / "old")
        second = RunDirectory(path)
        raise KeyboardInterrupt
    assert {entry.name for entry in path.iterdir()} == {".lock", ".owner"}
    with second:
        second.write_manifest(manifest(SECOND))
    assert reading.read_manifest(path) is not None


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{}", b'{"token": null}'])
def test_an_owner_s_file_that_cannot_be_read_is_no_permission_to_write(tmp_path, content):
    with begin(tmp_path / "run", FIRST) as directory:
        (directory.path / ".owner").write_bytes(content)
        refused(lambda: directory.write_table(b"table"), "it ends here")
        assert not (directory.path / reading.TABLE).exists()


def test_a_directory_whose_owner_s_file_cannot_be_written_can_be_taken_at_once_afterwards(
    tmp_path, monkeypatch
):
    path = tmp_path / "run"

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", full)
        with pytest.raises(RateDistortionError, match="cannot be written: No space left") as kept:
            RunDirectory(path)
    assert not path.exists()
    with RunDirectory(path) as directory:
        directory.write_manifest(manifest(SECOND))
    assert kept.value.exit_code == 2


def test_a_log_that_cannot_be_written_ends_no_sweep(tmp_path):
    with begin(tmp_path / "run", FIRST) as directory:
        (directory.path / reading.LOG).mkdir()
        directory.log({"event": "x"})
        directory.write_table(b"table")
        assert (directory.path / reading.TABLE).read_bytes() == b"table"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENOTSUP])
@pytest.mark.parametrize("operation", ["open", "fsync"])
def test_folders_that_cannot_be_put_on_the_disk_end_no_sweep(
    tmp_path, monkeypatch, operation, number
):
    fsync, opened = os.fsync, os.open

    def folder(where) -> bool:
        return Path(f"/proc/self/fd/{where}" if isinstance(where, int) else where).is_dir()

    def refusing_folders(real):
        def call(where, *rest):
            if folder(where):
                raise OSError(number, os.strerror(number))
            return real(where, *rest)

        return call

    real = {"open": opened, "fsync": fsync}[operation]
    monkeypatch.setattr(files.os, operation, refusing_folders(real))
    with begin(tmp_path / "run", FIRST) as directory:
        directory.write_table(b"table")
    assert (tmp_path / "run" / reading.TABLE).read_bytes() == b"table"


def test_folders_are_on_the_disk_before_what_is_in_them(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(descriptor):
        fsync(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(files.os, "fsync", noted)
    with begin(tmp_path / "a" / "run", FIRST):
        pass
    inodes = [path.stat().st_ino for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "run")]
    assert [synced.index(inode) for inode in inodes] == [0, 1, 3]  # 2: the owner's file


# Files that say what they belong to.


@pytest.fixture
def computed(tmp_path):
    with begin(tmp_path / "run", FIRST) as directory:
        write_rows(directory, 0, FIRST, [{"rate": 1.0}])
        yield directory


READERS = {
    "state": lambda directory, chunk, sweep: read_state(directory.path, chunk, sweep),
    "rows": lambda directory, chunk, sweep: read_rows(directory.path, chunk, sweep),
    "result": lambda directory, *rest: read_result(directory.path, *rest),
}


@pytest.mark.parametrize("file", READERS)
def test_a_file_of_another_sweep_or_chunk_is_refused_with_what_to_do(computed, file):
    directory, read = computed, READERS[file]
    if file == "result":
        write_result(directory, 0, FIRST, {"rows": []}, {"a": np.ones(2)})
    assert read(directory, 0, FIRST)
    refused(lambda: read(directory, 0, SECOND), file, "another sweep", f"delete {directory.path}")
    refused(lambda: read(directory, 0, SECOND), f"chunks/0000/{file}")
    shutil.copytree(directory.path / "chunks" / "0000", directory.path / "chunks" / "0001")
    refused(lambda: read(directory, 1, FIRST), file, "another chunk", "chunks/0001")
