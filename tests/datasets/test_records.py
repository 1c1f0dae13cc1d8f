"""Record files and the images in them, against the standards and against TFDS."""

import io

import numpy as np
import pytest
from PIL import Image

from ratedistortion.datasets.records import decode, read_images
from ratedistortion.datasets.tfrecord import masked_crc32c, tfrecords


def test_checksums_are_those_of_the_standard():
    content = np.frombuffer(b"123456789" + bytes(32), np.uint8)
    got = masked_crc32c(content, np.array([0, 9, 3]), np.array([9, 32, 0]))
    # CRC-32C of "123456789" (the check value in catalogues of CRCs), of 32 zeros (RFC 3720, section
    # B.4) and of nothing. TFRecord rotates them and adds a constant.
    crcs = (0xE3069283, 0x8A9136AA, 0)
    assert got.tolist() == [((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF for c in crcs]


def test_tfrecords_are_read_in_order(tmp_path, tfrecord):
    path = tmp_path / "a.tfrecord"
    records = [b"one", b"", b"x" * 300, bytes(range(256))]
    path.write_bytes(tfrecord(*records))
    assert list(tfrecords(path)) == records
    path.write_bytes(b"")
    assert list(tfrecords(path)) == []


def test_every_damaged_byte_of_a_tfrecord_is_noticed(tmp_path, tfrecord):
    path, good = tmp_path / "a.tfrecord", tfrecord(b"one", b"another")
    for place in range(len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.tfrecord is (cut off or )?damaged"):
            list(tfrecords(path))
        path.write_bytes(good[:place])
        if place not in (0, 19):  # where a file may end
            with pytest.raises(ValueError, match="cut off"):
                list(tfrecords(path))


def test_images_have_the_channels_that_the_features_say(pictures, png):
    grey, colour = pictures(1, 3, 5)[0], pictures(1, 3, 5, 3)[0]
    assert np.array_equal(decode(png(grey), 1)[..., 0], grey)
    assert np.array_equal(decode(png(colour), 3), colour)
    assert np.array_equal(decode(png(grey), 3), np.stack([grey] * 3, -1))
    palette = io.BytesIO()
    Image.fromarray(colour // 128 * 255).convert("P").save(palette, "png")
    assert np.array_equal(decode(palette.getvalue(), 3), colour // 128 * 255)


def test_binarized_mnist_has_the_known_pixel_sum(capfd, shared_data):
    path = next((shared_data / "tfds" / "binarized_mnist").glob("*/*-test.array_record-*"))
    images = read_images([path], "array_record", "image", 1, np.arange(10_000))
    assert images.shape == (10_000, 28, 28, 1) and images.max() == 1
    assert images.sum(dtype=int) == 1_038_896
    assert capfd.readouterr() == ("", "")
