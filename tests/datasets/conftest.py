"""Loading and being refused, and a TFDS set written byte by byte, without TensorFlow."""

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ratedistortion.datasets import Dataset, load
from ratedistortion.errors import DatasetError
from ratedistortion.settings import Settings


@pytest.fixture(autouse=True)
def no_sets_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))


def _get(dataset: str | Path, data_dir: Path | None = None, **fields: Any) -> Dataset:
    fields = {"batch_size": 2, "likelihood": "gaussian"} | fields
    return load(Settings(dataset=str(dataset), data_dir=data_dir and str(data_dir), **fields))


def _refusal(dataset: str | Path, data_dir: Path | None = None, **fields: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        _get(dataset, data_dir, **fields)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert caught.value.exit_code == 7
    return str(caught.value)


@pytest.fixture(scope="session")
def get() -> Callable[..., Dataset]:
    """Loads a data set, by default for the Gaussian likelihood."""
    return _get


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    """The text of the error with which a data set is refused."""
    return _refusal


@pytest.fixture
def grey() -> dict[str, np.ndarray]:
    """9 train and 5 test images of 4x3 grey pixels, from black to white."""
    return {name: np.stack(_pictures(n, 4, 3)) for name, n in (("train", 9), ("test", 5))}


def _checksum(data: bytes) -> bytes:
    """Masked CRC-32C bit by bit, as RFC 3720 and the TFRecord format define it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _tfrecord(*records: bytes) -> bytes:
    lengths = [struct.pack("<Q", len(record)) for record in records]
    return b"".join(
        length + _checksum(length) + record + _checksum(record)
        for length, record in zip(lengths, records, strict=True)
    )


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def _example(**features: bytes) -> bytes:
    """A tf.train.Example, written field by field: each is a tag, a length and its content."""

    def field(number: int, content: bytes) -> bytes:
        length, size = b"", len(content)
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    entries = [
        field(1, field(1, name.encode()) + field(2, field(1, field(1, value))))
        for name, value in features.items()
    ]
    return field(1, b"".join(entries))


def _prepare(
    root: Path,
    splits: dict[str, list[np.ndarray]],
    version: str = "1.0.0",
    images: tuple[str, ...] = ("image",),
    dtype: str = "uint8",
    config: str = "",
) -> Path:
    """A prepared set called `tiny`, in two tfrecord shards a split, in the layout of TFDS 4.9."""
    folder = root / "tiny" / config / version
    folder.mkdir(parents=True)
    shape = next(iter(splits.values()))[0].shape
    dimensions = [str(n) for n in (*shape, 1)[:3]]
    feature = {
        "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
        "image": {"shape": {"dimensions": dimensions}, "dtype": dtype},
    }
    features = {
        "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
        "featuresDict": {"features": {name: feature for name in images}},
    }
    (folder / "features.json").write_text(json.dumps(features))
    info: dict[str, Any] = {"name": "tiny", "version": version, "fileFormat": "tfrecord"}
    info |= {"configName": config} if config else {}
    info["splits"] = []
    for split, examples in splits.items():
        cut = len(examples) // 2
        for shard, part in enumerate((examples[:cut], examples[cut:])):
            records = [_example(**{name: _png(image) for name in images}) for image in part]
            path = folder / f"tiny-{split}.tfrecord-0000{shard}-of-00002"
            path.write_bytes(_tfrecord(*records))
        lengths = [str(cut), str(len(examples) - cut)]
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        info["splits"] += [{"name": split, "shardLengths": lengths, "filepathTemplate": template}]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def _pictures(count: int, *shape: int) -> list[np.ndarray]:
    images = np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)
    images.flat[:2] = 0, 255
    return list(images)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data beside the repository."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data, ../shared/data beside the repository, is absent")
    return folder


@pytest.fixture(scope="session")
def prepare() -> Callable[..., Path]:
    """Writes a prepared TFDS set and gives its folder."""
    return _prepare


@pytest.fixture(scope="session")
def pictures() -> Callable[..., list[np.ndarray]]:
    """Random grey or colour images, from black to white: how many, and their shape."""
    return _pictures


@pytest.fixture(scope="session")
def png() -> Callable[[np.ndarray], bytes]:
    """The content of a PNG file with this image."""
    return _png


@pytest.fixture(scope="session")
def tfrecord() -> Callable[..., bytes]:
    """The content of a TFRecord file with these records."""
    return _tfrecord
