"""One flipped bit in any file that numbers come from: refused, never read as another number."""

import io
import random
import zipfile

import numpy as np
import pytest
from chunk_files import read_result, read_rows, read_state, write_result, write_rows, write_state

from ratedistortion.errors import RunDirectoryError
from ratedistortion.run_directory import npz_files, reading
from ratedistortion.run_directory.directory import RunDirectory
from ratedistortion.run_directory.model_files import model_path, read_model
from ratedistortion.run_directory.sealed import npz, sha256
from ratedistortion.untrusted import Npz

SWEEP = "0123456789abcdef"
PICTURES = {"reconstructions": np.full((1, 2, 2, 2, 1), 0.5, np.float32)}
PICTURES |= {"samples": PICTURES["reconstructions"] + 1}
IMAGES = {"originals": np.ones((2, 2, 2, 1)), **PICTURES, "beta": np.ones(1), "seed": np.zeros(1)}
PARAMETERS = {"skip.open": np.ones((1, 2), np.float32), "data.centre": np.arange(3.0)}
READERS = {
    "manifest.json": lambda directory: reading.read_manifest(directory.path),
    "images.npz": lambda directory: npz_files.read_images(directory.path, sha256(npz(IMAGES))),
    # As a file alone, whose SHA-256 nobody keeps elsewhere.
    "models/beta=0.5,seed=0.safetensors": lambda directory: read_model(
        model_path(directory.path, "beta=0.5,seed=0"), None, ""
    ),
    "chunks/0000/state": lambda directory: read_state(directory.path, 0, SWEEP),
    "chunks/0000/rows": lambda directory: read_rows(directory.path, 0, SWEEP),
    "chunks/0000/result": lambda directory: read_result(directory.path, 0, SWEEP),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    with RunDirectory(tmp_path_factory.mktemp("flips") / "run") as directory:
        directory.write_arrays(reading.IMAGES, IMAGES)
        directory.write_model("beta=0.5,seed=0", PARAMETERS, {"beta": 0.5})
        directory.write_manifest(
            {
                "schema": reading.MANIFEST_VERSION,
                "settings": {"latents": 3, "learning_rate": 1e-3},
                "parts": [{"runs": [[0.5, 0, None]], "plan": {"devices": 2}}],
                "versions": {"jax": "0.1.2"},
                "device": "cpu",
                "data_sha256": "0",
            }
        )
        write_state(directory, 0, SWEEP, 7, [np.arange(3.0), np.array(5)])
        rows = [{"rate": 1.25, "distortion": None}]
        write_result(directory, 0, SWEEP, {"rows": rows}, PICTURES)
        write_rows(directory, 0, SWEEP, rows)
        yield directory


@pytest.mark.parametrize("file", READERS)
def test_a_flipped_bit_is_refused_wherever_it_is(directory, file):
    path, read, chance = directory.path / file, READERS[file], random.Random(0)
    whole = path.read_bytes()
    assert read(directory)
    try:
        for place in range(0, len(whole), 1 + len(whole) // 1000):  # every byte of a small file
            flipped = bytearray(whole)
            flipped[place] ^= 1 << chance.randrange(8)
            path.write_bytes(flipped)
            with pytest.raises(RunDirectoryError):
                read(directory)
    finally:
        path.write_bytes(whole)


def test_a_version_that_a_flipped_bit_made_older_is_no_older_manifest(directory):
    path = directory.path / "manifest.json"
    whole = path.read_bytes()
    try:
        for schema in (b"0", b"1", b"3"):
            path.write_bytes(whole.replace(b'"schema": 4', b'"schema": ' + schema))
            with pytest.raises(RunDirectoryError, match="SHA-256 differs"):
                reading.read_manifest(directory.path)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_flipped_bit_in_data_is_refused_or_changes_no_number(compressed):
    arrays = {"train": np.arange(30, dtype=np.uint8).reshape(5, 6), "test": np.arange(4.0)}
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    whole, refused = buffer.getvalue(), 0
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            try:
                read = Npz(io.BytesIO(flipped))
                found = {name: read.read(name) for name in read.shapes}
            except Exception:  # what NumPy and zipfile raise is no closed list
                refused += 1
                continue
            for name, array in found.items():
                np.testing.assert_array_equal(array, arrays[name])
                assert array.dtype == arrays[name].dtype
    assert refused > 4 * len(whole)  # most bits count


def test_an_array_behind_which_more_bytes_are_stored_is_refused():
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.arange(9.0))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.npy", array.getvalue() + b"more")
    archive.seek(0)
    with pytest.raises(ValueError, match="a has more bytes than its shape"):
        Npz(archive).read("a")
