"""The TFRecord format, read without TensorFlow.

A file is a sequence of records. Each record has the length of its data (8 bytes, little-endian), a
checksum of these 8 bytes (4 bytes), the data, and a checksum of the data (4 bytes).
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def tfrecords(path: Path) -> Iterator[bytes]:
    """The data of the records of one file, in order.

    Args:
        path: The file. It is read whole, so that all checksums are tested first.

    Raises:
        ValueError: If the file is cut off, or a checksum is wrong.
    """
    content = path.read_bytes()
    found, at = [], 0
    while at + 8 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        found.append((at, length))
        at += length + 16
    if at != len(content):
        raise ValueError(f"{path.name} is cut off or damaged after {len(found)} records")
    if not found:
        return
    # Pillow accepts 2% of the PNGs with one flipped bit: only these checksums find them.
    starts, lengths = np.array(found, dtype=np.int64).T
    stored = np.frombuffer(content, np.uint8)
    for begin, size in ((starts, np.full_like(lengths, 8)), (starts + 12, lengths)):
        checksums = stored[(begin + size)[:, None] + np.arange(4)].view("<u4")[:, 0]
        wrong = np.flatnonzero(masked_crc32c(stored, begin, size) != checksums)
        if len(wrong):
            raise ValueError(f"{path.name} is damaged: record {wrong[0]} has a wrong checksum")
    for start, length in found:
        yield content[start + 12 : start + 12 + length]


def masked_crc32c(content: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The checksums of TFRecord for many pieces of a file: CRC-32C, rotated, plus a constant.

    Args:
        content: uint8, the bytes of the file.
        starts: Where each piece begins.
        lengths: How many bytes each piece has.

    Returns:
        uint32, one checksum for each piece.

    Source: RFC 3720, appendix B.4, for CRC-32C.
    """
    # Each step takes byte k of all pieces at once, which is 30 times as fast as one piece after the
    # other. The longest pieces come first, so that those with a byte k are the first ones.
    order = np.argsort(-lengths, kind="stable")
    places, shortness = starts[order], -lengths[order]
    crc = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    for k in range(-shortness[0]):
        reaching = np.searchsorted(shortness, -k)  # how many are longer than k
        before = crc[:reaching]
        crc[:reaching] = _TABLE[(before ^ content[places[:reaching] + k]) & 0xFF] ^ (before >> 8)
    crc[order] = ~crc
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ (table & 1) * np.uint32(0x82F63B78)  # Castagnoli, bits reversed
    return table


_TABLE = _table()
