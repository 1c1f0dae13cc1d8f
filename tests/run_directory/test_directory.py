"""The run directory, as a careless user, a crash and a hostile stranger leave it."""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chunk_files import read_result, read_state, write_result, write_state

from ratedistortion import files
from ratedistortion.errors import (
    RateDistortionError,
)
from ratedistortion.files import write_file
from ratedistortion.run_directory import npz_files, reading
from ratedistortion.run_directory.directory import RunDirectory, check_folder
from ratedistortion.run_directory.sealed import seal

SWEEP = "a sweep"
MANIFEST = {
    "schema": reading.MANIFEST_VERSION,
    "settings": {},
    "parts": [],
    "versions": {},
    "device": "cpu",
    "data_sha256": "0",
}
PICTURES = {"reconstructions": np.zeros((2, 3, 4, 4, 1)), "samples": np.ones((2, 3, 4, 4, 1))}
IMAGES = {
    "originals": np.zeros((3, 4, 4, 1)),
    **PICTURES,
    "beta": np.array([0.1, 1.0]),
    "seed": np.array([0, 0]),
}
CURVE = {"steps": [1, 2], "distortion": [3.0, 2.0], "rate": [0.0, None]}


@pytest.fixture
def directory(tmp_path):
    with RunDirectory(tmp_path / "run") as directory:
        directory.write_manifest(MANIFEST)
        yield directory


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextlib.contextmanager
def refused(exit_code: int, *words: str) -> Iterator[None]:
    """Expects an error of one line that has these words and ends the command with this code."""
    with pytest.raises(RateDistortionError) as caught:
        yield
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and caught.value.exit_code == exit_code
    assert [word for word in words if word not in text] == []


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Bomb:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


# Writing.


def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path):
    write_file(tmp_path / "a", b"old")
    write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == {"a"}


@pytest.mark.parametrize(
    "operation, failure, raised",
    [("fsync", fail, OSError), ("replace", fail, OSError), ("fsync", interrupt, KeyboardInterrupt)],
)
def test_a_write_that_fails_leaves_the_old_content(
    tmp_path, monkeypatch, operation, failure, raised
):
    write_file(tmp_path / "a", b"old")
    monkeypatch.setattr(files.os, operation, failure)
    with pytest.raises(raised):
        write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == {"a"}


def test_a_link_is_replaced_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "a").symlink_to(tmp_path / "precious")
    write_file(tmp_path / "a", b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "a").is_symlink()


def test_a_full_disk_is_one_line_that_says_how_to_go_on(directory, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", fail)
    with refused(1, "rd.parquet", "No space left on device", "continues"):
        directory.write_table(b"table")
    assert "rd.parquet" not in names(directory.path)


def test_folders_that_are_links_are_not_written_through(directory, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (directory.path / "chunks").symlink_to(tmp_path / "elsewhere")
    with refused(4, "chunks", "link"):
        write_state(directory, 0, SWEEP, 1, [np.zeros(2)])
    (directory.path / "log.jsonl").symlink_to(tmp_path / "elsewhere" / "log")
    directory.log({"event": "x"})
    assert names(tmp_path / "elsewhere") == set()


# Holding.

HOLD = """
import sys, time
from pathlib import Path
from ratedistortion.run_directory.directory import RunDirectory
with RunDirectory(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_process_is_refused_and_a_kill_frees_the_lock(tmp_path):
    path = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with refused(5, str(path), f"in use by process {holder.pid} on ", "since 20"):
            RunDirectory(path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with RunDirectory(path) as directory:
        assert reading.read_manifest(directory.path) is None


def test_the_same_process_cannot_hold_it_twice(directory):
    with refused(5):
        RunDirectory(directory.path)


def test_a_directory_without_a_manifest_is_taken_away_again(tmp_path):
    with RunDirectory(tmp_path / "a" / "b"):
        assert names(tmp_path / "a" / "b") == {".lock", ".owner"}
    assert names(tmp_path) == set()
    (tmp_path / "mine").mkdir()
    with RunDirectory(tmp_path / "mine"):
        pass
    assert names(tmp_path) == {"mine"} and names(tmp_path / "mine") == set()


def test_one_with_a_manifest_stays(directory):
    directory.__exit__()
    assert names(directory.path) == {".lock", "manifest.json"}
    assert reading.read_manifest(directory.path) == MANIFEST


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    for take in (RunDirectory, check_folder):
        with refused(4, str(tmp_path), "thesis.tex"):
            take(tmp_path)
    assert names(tmp_path) == {"thesis.tex"}


def test_what_a_killed_process_left_is_no_obstacle_and_is_removed(tmp_path):
    # Killed before the manifest was in place, then in the middle of a checkpoint.
    (tmp_path / ".lock").touch()
    (tmp_path / ".owner").touch()
    (tmp_path / ".manifest.json.0123abcd.tmp").touch()
    (tmp_path / "..owner.0123abcd.tmp").touch()
    with RunDirectory(tmp_path) as directory:
        assert names(tmp_path) == {".lock", ".owner"}
        directory.write_manifest(MANIFEST)
        write_state(directory, 3, SWEEP, 1, [np.zeros(2)])
    left = tmp_path / "chunks" / "0003" / ".state.0123abcd.tmp"
    left.touch()
    with RunDirectory(tmp_path):
        assert not left.exists()


@pytest.mark.parametrize("path", ["{file}/run", "{file}", "/proc/run", "/dev/null/run", "a" * 300])
def test_a_directory_that_cannot_be_is_a_usage_error(tmp_path, path):
    # A root user may write anywhere, but not below a regular file nor in /proc.
    (tmp_path / "file").touch()
    with refused(2, "cannot be written"):
        RunDirectory(Path(path.format(file=tmp_path / "file")))


# Reading.


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b"{}",
        json.dumps(MANIFEST).encode(),
        seal(MANIFEST | {"parts": 3}),
        seal({k: v for k, v in MANIFEST.items() if k != "versions"}),
    ],
)
def test_a_damaged_manifest(directory, damage):
    (directory.path / "manifest.json").write_bytes(damage)
    with refused(4, "manifest.json", "damaged", "restore it"):
        reading.read_manifest(directory.path)


def test_a_manifest_of_a_newer_program_says_to_upgrade(directory):
    directory.write_manifest(MANIFEST | {"schema": reading.MANIFEST_VERSION + 1, "plan": "other"})
    with refused(4, "schema version ", " upgrade ratedistortion"):
        reading.read_manifest(directory.path)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(directory):
    (directory.path / "manifest.json").unlink()
    os.mkfifo(directory.path / "manifest.json")
    with refused(4):
        reading.read_manifest(directory.path)


def test_a_checkpoint_comes_back(directory):
    assert read_state(directory.path, 1, SWEEP) is None
    leaves = [np.arange(12, dtype=np.float32).reshape(3, 4), np.array([-1, 5], np.int32)]
    leaves += [
        np.asarray(x, np.float32) for x in range(12)
    ]  # leaf10 comes after leaf9, not after leaf1
    write_state(directory, 1, SWEEP, 7, leaves)
    steps, read = read_state(directory.path, 1, SWEEP)
    assert steps == 7
    for before, after in zip(leaves, read, strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_a_damaged_checkpoint(directory):
    write_state(directory, 0, SWEEP, 7, [np.arange(50.0)])
    path = directory.path / "chunks" / "0000" / "state"
    whole = path.read_bytes()
    for damage in (b"", b"no JSON", whole[:-30], whole[: len(whole) // 2], whole[8:]):
        path.write_bytes(damage)
        with refused(4, str(path), "damaged", "delete"):
            read_state(directory.path, 0, SWEEP)


@pytest.mark.parametrize("form", ["npz", "npy", "pickle"])
def test_objects_are_never_unpickled(directory, tmp_path, monkeypatch, form):
    mark = tmp_path / "unpickled"
    bombs = np.array([Bomb(mark)], dtype=object)
    images = directory.path / "images.npz"
    with images.open("wb") as file:
        if form == "npz":
            np.savez(file, **(IMAGES | {"originals": bombs}))
        elif form == "npy":
            np.save(file, bombs, allow_pickle=True)
        else:
            pickle.dump(bombs, file)
    monkeypatch.setattr("ratedistortion.run_directory.sealed.npz", lambda _: images.read_bytes())
    write_result(directory, 0, SWEEP, {"rows": []}, PICTURES)
    with refused(4):
        read_result(directory.path, 0, SWEEP)
    with refused(4):
        npz_files.read_images(directory.path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()  # the bomb is live


def test_a_result_comes_back(directory):
    assert read_result(directory.path, 0, SWEEP) is None
    write_result(directory, 0, SWEEP, {"rows": [1, None]}, PICTURES)
    result, pictures = read_result(directory.path, 0, SWEEP)
    assert result["rows"] == [1, None]
    assert set(pictures) == set(PICTURES)
    np.testing.assert_array_equal(pictures["samples"], PICTURES["samples"])


def test_an_unfinished_run_says_how_to_continue(directory):
    with refused(4, "not finished", f"`rd-sweep {directory.path}`"):
        reading.read_table(directory.path)


def test_a_command_can_be_pasted():
    assert reading.command(Path("my runs/mnist")) == "rd-sweep 'my runs/mnist'"


def test_a_folder_that_is_no_run_directory_has_no_table(tmp_path):
    with refused(2, "not a run directory"):
        reading.read_table(tmp_path)


def test_images_come_back_and_damage_is_seen(directory):
    directory.write_arrays(reading.IMAGES, IMAGES)
    read = npz_files.read_images(directory.path)
    for name, array in IMAGES.items():
        np.testing.assert_array_equal(read[name], array)
    path = directory.path / "images.npz"
    for damage in (b"", path.read_bytes()[:100]):
        path.write_bytes(damage)
        with refused(4, "images.npz", "damaged", "rd-sweep"):
            npz_files.read_images(directory.path)
    path.unlink()
    with refused(4):
        npz_files.read_images(directory.path)


@pytest.mark.parametrize(
    "change",
    [
        {"samples": np.zeros((3, 3, 4, 4, 1))},
        {"samples": np.zeros((2, 3, 5, 4, 1))},
        {"samples": np.zeros((2, 3, 4, 4, 1), "U1")},
        {"beta": np.float64(1)},
        {"originals": None},
    ],
)
def test_images_that_do_not_fit_together(directory, change):
    arrays = {name: array for name, array in (IMAGES | change).items() if array is not None}
    directory.write_arrays(reading.IMAGES, arrays)
    with refused(4, "images.npz"):
        npz_files.read_images(directory.path)


def finish(directory: RunDirectory, chunk: int, losses=(), sweep=SWEEP, posteriors=None) -> None:
    values = {"rows": [], "losses": losses, "posteriors": posteriors or {}}
    write_result(directory, chunk, sweep, values, PICTURES)


def test_losses_are_ordered_by_beta_and_seed(directory):
    directory.write_manifest(MANIFEST | {"parts": [{"sweep": SWEEP}, {"sweep": "another part"}]})
    first, second, third = (
        {"beta": beta, "seed": seed, "target_rate": None, **CURVE}
        for beta, seed in ((0.1, 0), (0.1, 1), (1.0, 0))
    )
    finish(directory, 0, [third, first])
    finish(directory, 1, [second], "another part")
    assert reading.read_losses(directory.path) == [first, second, third]


def test_a_result_of_another_sweep_is_not_read(directory):
    directory.write_manifest(MANIFEST | {"parts": [{"sweep": SWEEP}]})
    finish(directory, 0)
    finish(directory, 1, sweep="another")
    with refused(4, "0001/result", "belongs to another sweep", "delete"):
        reading.read_results(directory.path)


@pytest.mark.parametrize("change", [{"rows": 3}, {"losses": {}}, {"losses": [3]}, {"losses": [{}]}])
def test_a_result_of_other_fields_is_damaged(directory, change):
    directory.write_manifest(MANIFEST | {"parts": [3, {"sweep": SWEEP}]})
    values = {"rows": [], "losses": [], "posteriors": {}}
    write_result(directory, 0, SWEEP, values | change, PICTURES)
    with refused(4, "chunks", "damaged", "restore"):
        reading.read_losses(directory.path)


def test_posteriors_are_those_that_the_sweep_wrote(directory):
    directory.write_manifest(MANIFEST | {"parts": [{"sweep": SWEEP}]})
    arrays = {"mean": np.arange(3.0)}
    written = directory.write_arrays("posteriors/one.npz", arrays)
    finish(directory, 0, posteriors={"one.npz": written})
    file = directory.path / "posteriors" / "one.npz"
    np.testing.assert_array_equal(npz_files.read_posteriors(file)["mean"], arrays["mean"])
    directory.write_arrays("posteriors/one.npz", {"mean": np.arange(4.0)})
    with refused(4, "one.npz", "SHA-256"):
        npz_files.read_posteriors(file)
