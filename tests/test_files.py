"""Files reach the disk before they replace others; lines are added whole; where the cache is."""

import os
import stat
from pathlib import Path

import pytest

from ratedistortion.files import append_line, cache_folder, write_file


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_return(
    tmp_path, monkeypatch
):
    done = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append((f"{kind} on disk", os.fstat(descriptor).st_ino))

    def noted_replace(source: Path, target: Path) -> None:
        replace(source, target)
        done.append(("replaced", os.stat(target).st_ino))

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_file(tmp_path / "a", b"content")
    file, folder = (tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino
    assert done == [("file on disk", file), ("replaced", file), ("folder on disk", folder)]


def test_lines_are_added_and_a_line_that_was_cut_short_stands_alone(tmp_path):
    path = tmp_path / "log"
    append_line(path, b"one")
    append_line(path, b"two")
    assert path.read_bytes() == b"one\ntwo\n"
    path.write_bytes(b"one\ntw")
    append_line(path, b"three")
    assert path.read_bytes() == b"one\ntw\nthree\n"


def test_a_line_is_not_added_through_a_link(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "log").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError):
        append_line(tmp_path / "log", b"line")
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("home", ["relative", "", None])
def test_without_an_absolute_cache_home_the_cache_is_in_the_users_home(tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", str(tmp_path))
    if home is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert cache_folder() == tmp_path / ".cache" / "ratedistortion"


def test_an_absolute_cache_home_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "ratedistortion"


def test_without_a_home_there_is_no_cache(monkeypatch):
    """As in a container whose user is in no list of users: `~` stands for itself then."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder() is None
