"""Damages files of every format and reads them: nothing but our own errors may come out.

    .venv/bin/python tests/benchmarks/fuzz.py [--seconds 60] [READER ...]

Each reader gets valid files whose bytes hypothesis changes, cuts and inserts. A reader may read a
damaged file or refuse it with a `RateDistortionError`. Any other exception, more than 1 GiB of
memory or more than 10 s is a fault: it is printed with the bytes that caused it, and the exit code
is 1. What was found is kept in tests/datasets/test_strangers.py and tests/table/test_parquet.py.
"""

import argparse
import gzip
import importlib.util
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

import mnist_like  # noqa: E402

from ratedistortion.datasets import load  # noqa: E402
from ratedistortion.errors import RateDistortionError  # noqa: E402
from ratedistortion.run_directory import npz_files  # noqa: E402
from ratedistortion.settings import Settings, from_mapping, read_config  # noqa: E402
from ratedistortion.table import parquet  # noqa: E402

_SECONDS_A_FILE = 10
_IMAGES = np.random.default_rng(0).integers(0, 256, (24, 6, 5), np.uint8)


def _load(path: Path) -> None:
    scale = None if str(path).startswith("hf:") else 255.0
    load(Settings(dataset=str(path), likelihood="gaussian", batch_size=2, scale=scale))


def _npz(path: Path) -> bytes:
    np.savez_compressed(path, train=_IMAGES, test=_IMAGES[:3], y_train=np.arange(24))
    return path.read_bytes()


def _npy(path: Path) -> bytes:
    np.save(path, _IMAGES)
    return path.read_bytes()


def _idx(path: Path) -> bytes:
    content = b"\0\0\x08\x03" + np.array(_IMAGES.shape, ">u4").tobytes() + _IMAGES.tobytes()
    (path.parent / "t10k-images-idx3-ubyte").write_bytes(content)
    return gzip.compress(content)


def _csv(path: Path) -> bytes:
    return b"a,b,label\n" + b"".join(b"%d,%f,0\n" % (n, n / 7) for n in range(24))


def _table(path: Path) -> bytes:
    return parquet.write(mnist_like.rows(), {"settings": Settings().as_json()})


def _preview(path: Path) -> bytes:
    manifest = dict.fromkeys(("settings", "plan", "versions"), {})
    manifest |= {"schema": 3, "device": "", "data_sha256": "", "data": ""}
    (path.parent / "manifest.json").write_text(json.dumps(manifest))
    np.savez(path, **load(Settings()).preview())
    return path.read_bytes()


def _toml(path: Path) -> bytes:
    return b'dataset = "digits"\nbetas = "0.1:1:log3"\nhidden = [8, 4]\nlearning-rate = 0.1\n'


def _tfds(path: Path) -> bytes:
    place = Path(__file__).parents[1] / "datasets" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_tfds", place)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    folder = made._prepare(path.parent / "made", {"train": list(_IMAGES), "test": list(_IMAGES)})
    for file in folder.iterdir():
        shutil.copy(file, path.parent)
    return path.read_bytes()


# Name -> the file to damage, what makes it, and what reads it.
READERS: dict[str, tuple[str, Callable[[Path], bytes], Callable[[Path], object]]] = {
    "npz": ("a.npz", _npz, _load),
    "npy": ("a.npy", _npy, _load),
    "idx": ("train-images-idx3-ubyte.gz", _idx, lambda path: _load(path.parent)),
    "tfds": ("dataset_info.json", _tfds, lambda path: _load(path.parent)),
    "features": ("features.json", _tfds, lambda path: _load(path.parent)),
    "records": ("tiny-train.tfrecord-00000-of-00002", _tfds, lambda path: _load(path.parent)),
    "csv": ("a.csv", _csv, lambda path: _load(Path(f"hf:csv:{path}"))),
    "table": ("rd.parquet", _table, parquet.read),
    "preview": ("data.npz", _preview, lambda path: npz_files.read_data(path.parent)),
    "config": ("a.toml", _toml, lambda path: from_mapping(read_config(path), "a.toml")),
}

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "cut", "end"]),
        st.integers(0, 2**16),
        st.binary(max_size=4),
    ),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    """The content after the edits, each at a place that wraps around."""
    for kind, place, piece in edits:
        place %= len(content) + 1
        behind = {"set": place + len(piece), "insert": place, "cut": place + 5, "end": None}[kind]
        content = content[:place] + piece + (content[behind:] if behind is not None else b"")
    return content


def fuzz(name: str, seconds: float) -> int:
    """Reads damaged files of one format until the time is over; returns how many there were."""
    file, make, read = READERS[name]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_HOME"] = folder  # for the copies that the library makes
        path, count, began = Path(folder) / file, [0], time.monotonic()
        good = make(path)
        path.write_bytes(good)
        read(path)
        number = 0
        while time.monotonic() - began < seconds:

            @seed(number)
            @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
            @given(EDITS)
            def one(edits: list[tuple[str, int, bytes]]) -> None:
                path.write_bytes(damaged(good, edits))
                count[0] += 1
                signal.alarm(_SECONDS_A_FILE)
                try:
                    read(path)
                except RateDistortionError as error:
                    assert "\n" not in str(error) and len(str(error)) <= 400
                finally:
                    signal.alarm(0)

            one()
            number += 1
        return count[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each reader")
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    arguments = parser.parse_args()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    warnings.simplefilter("ignore")
    for name in arguments.readers or READERS:
        print(f"{name}: {fuzz(name, arguments.seconds):,} files", flush=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) / 2**20
    print(f"memory grew by at most {grown:.2f} GiB")
    sys.exit(1 if grown > 1 else 0)


if __name__ == "__main__":
    main()
