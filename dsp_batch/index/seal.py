"""The checksum of a whole Parquet file, in its own metadata: it shows damage of columns and of their description."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

CHECKSUM_KEY = b"dsp_batch_crc32"
"""Key of the file's CRC-32, which is computed with zeros instead of itself. It shows that a file is complete without
decoding its columns, so that each may be read when it is needed."""

NO_CHECKSUM = b"00000000"
"""What a file is written with, before it is sealed. The key has to be the last one of the metadata."""


def seal(data: bytes) -> bytes:
    """Put the checksum into a file that was written without one."""
    before, after = _split(data, NO_CHECKSUM)
    return b"".join((before, _sum_up(before, after), after))


def check_seal(data: bytes, metadata: Mapping[bytes, bytes] | None) -> bool:
    """Check the checksum that a file holds.

    Args:
        data: The file.
        metadata: Its key-value metadata.

    Returns:
        True where it holds one; files that others wrote do not.

    Raises:
        ValueError: The file is not as it was written.
    """
    checksum = (metadata or {}).get(CHECKSUM_KEY)
    if checksum is None:
        return False
    if checksum != _sum_up(*_split(data, checksum)):
        raise ValueError("its checksum is another")
    return True


def _split(data: bytes, checksum: bytes) -> tuple[memoryview, memoryview]:
    """Split a file at its checksum, which closely follows its key in the footer."""
    start = data.index(checksum, data.rindex(CHECKSUM_KEY) + len(CHECKSUM_KEY))
    return memoryview(data)[:start], memoryview(data)[start + len(checksum) :]


def _sum_up(before: memoryview, after: memoryview) -> bytes:
    return b"%08x" % zlib.crc32(after, zlib.crc32(NO_CHECKSUM, zlib.crc32(before)))
