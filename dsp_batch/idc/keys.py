"""Sorted tables over the IDC index: where a series is, found by its UUID or its SeriesInstanceUID.

A record is a key and what it leads to, as bytes in one array that is sorted in place: 21 bytes a series by UUID,
35 by SeriesInstanceUID.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsp_batch.errors import ManifestError
from dsp_batch.model import ByteArray, IntArray

INSTALL_HINT = "pip install 'dsp-batch[idc]'"

_BATCH_ROWS = 16_384
_BUFFER_BYTES = 262_144
_KEY_BYTES = 16
_UID_CHARACTERS = 64
# Odd numbers with bits evenly spread, from the fractional parts of the golden ratio and of the square root of 3.
_MIXERS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)

_HEX_VALUES = np.zeros(256, dtype=np.uint8)
_HEX_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_HEX_VALUES[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
_UUID_DIGITS = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])
_UID_VALUES = np.zeros(256, dtype=np.uint8)
_UID_VALUES[np.frombuffer(b"0123456789.", np.uint8)] = np.arange(1, 12)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyTable:
    """Sorted records: a key, then what it leads to."""

    records: ByteArray
    """Shape (n, width), sorted by row."""

    bucket_names: tuple[str, ...]
    """What the bucket numbers in the records stand for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matches:
    """What was found. One entry for each key that was looked for; entries that were not found hold no sense."""

    found: npt.NDArray[np.bool_]
    buckets: ByteArray
    """Entries of the table's `bucket_names`."""

    payload: ByteArray
    """The rest of the records: the row of the file (4 bytes), or the series UUID (16 bytes)."""

    @property
    def rows(self) -> IntArray:
        """Rows of the file, of a table by UUID."""
        return self.payload.copy().view(">u4").reshape(len(self.payload)).astype(np.int64)


@lru_cache(maxsize=4)
def load_uuids(path: Path) -> KeyTable:
    """The table of an index file by series UUID; payload: the row of the file. Kept in memory: 22 MB for all of IDC."""
    records = np.empty((count_rows(path), _KEY_BYTES + 1 + 4), dtype=np.uint8)
    names: dict[str, int] = {}
    start = 0
    for batch in read_batches(path, ["crdc_series_uuid", "aws_bucket"]):
        part = records[start : start + batch.num_rows]
        part[:, :16] = _pack(_HEX_VALUES[_characters(batch.column(0), 36)[:, _UUID_DIGITS]])
        part[:, 16] = _number_buckets(batch.column(1), names)
        part[:, 17:] = _big_endian(np.arange(start, start + batch.num_rows), ">u4")
        start += batch.num_rows
    _sort(records)
    return KeyTable(records=records, bucket_names=tuple(names))


@lru_cache(maxsize=4)
def load_series_uids(path: Path) -> KeyTable:
    """The table of an index file by SeriesInstanceUID; payload: the series UUID. 37 MB for all of IDC.

    Of several versions of a series the last comes first.
    """
    records = np.empty((count_rows(path), _KEY_BYTES + 2 + 1 + _KEY_BYTES), dtype=np.uint8)
    names: dict[str, int] = {}
    start = 0
    for batch in read_batches(path, ["SeriesInstanceUID", "aws_bucket", "crdc_series_uuid", "max_idc_version"]):
        part = records[start : start + batch.num_rows]
        part[:, :16] = _hash_uids(_characters(batch.column(0), _UID_CHARACTERS))
        versions = _integers(batch.column(3)) if batch.num_columns == 4 else np.zeros(len(part), dtype=np.int64)
        part[:, 16:18] = _big_endian(65_535 - versions, ">u2")
        part[:, 18] = _number_buckets(batch.column(1), names)
        part[:, 19:] = _pack(_HEX_VALUES[_characters(batch.column(2), 36)[:, _UUID_DIGITS]])
        start += batch.num_rows
    _sort(records)
    return KeyTable(records=records, bucket_names=tuple(names))


def find_uuids(table: KeyTable, series_uuids: Sequence[str]) -> Matches:
    """Look hyphenated series UUIDs up in a table by UUID."""
    digits = bytes.fromhex("".join(series_uuids).replace("-", ""))
    return _find(table, np.frombuffer(digits, dtype=np.uint8).reshape(-1, _KEY_BYTES), 0)


def find_uids(table: KeyTable, series_instance_uids: Sequence[str]) -> Matches:
    """Look SeriesInstanceUIDs of at most 64 characters up in a table by SeriesInstanceUID."""
    text = b"".join(uid.encode("ascii").ljust(_UID_CHARACTERS, b"\0") for uid in series_instance_uids)
    characters = np.frombuffer(text, dtype=np.uint8).reshape(-1, _UID_CHARACTERS)
    return _find(table, _hash_uids(characters), 2)


def format_uuid(key: ByteArray) -> str:
    """The hyphenated form of the 16 bytes of a UUID."""
    digits = key.tobytes().hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def count_rows(path: Path) -> int:
    """Rows of an index file."""
    return int(_open(path).metadata.num_rows)


def read_batches(path: Path, columns: list[str]) -> Iterator[Any]:
    """Record batches of some columns, in that order; a column that the file lacks is left out.

    Raises:
        ManifestError: The file is missing or damaged.
    """
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read

    file = _open(path)
    present = [name for name in columns if name in file.schema_arrow.names]
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=present, use_threads=False):
            yield batch.select(present)
            # The pool would hoard the pages: 40 MB more.
            pa.default_memory_pool().release_unused()
    except (OSError, pa.ArrowException) as error:
        raise _explain(path, error) from error


def _open(path: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read
    import pyarrow.parquet as pq  # noqa: PLC0415  # likewise

    try:
        # A column of all of IDC is one chunk of up to 20 MB: it is read piece by piece.
        return pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False, read_dictionary=["aws_bucket"])
    except (OSError, pa.ArrowException) as error:
        raise _explain(path, error) from error


def _explain(path: Path, error: Exception) -> ManifestError:
    return ManifestError(f"the IDC index {path} cannot be read ({error}); {INSTALL_HINT} again")


def _find(table: KeyTable, keys: ByteArray, skipped: int) -> Matches:
    """Look packed keys up; `skipped` bytes stand between key and bucket."""
    width = table.records.shape[1]
    count, end = len(keys), _KEY_BYTES
    if len(table.records) == 0:
        empty = np.zeros((count, width), dtype=np.uint8)
        return Matches(
            found=np.zeros(count, dtype=np.bool_), buckets=empty[:, 0], payload=empty[:, end + skipped + 1 :]
        )
    # A key followed by zeros comes directly before the first record with that key.
    wanted = np.zeros((count, width), dtype=np.uint8)
    wanted[:, :end] = keys
    positions = np.searchsorted(_as_text(table.records), _as_text(wanted))
    positions[positions == len(table.records)] = 0
    records = table.records[positions]
    found = (records[:, :end] == keys).all(axis=1)
    return Matches(found=found, buckets=records[:, end + skipped], payload=records[:, end + skipped + 1 :])


def _as_text(records: ByteArray) -> npt.NDArray[np.bytes_]:
    """Each row as one text, shape (n,): what numpy sorts and searches as a whole."""
    return records.view(f"S{records.shape[1]}").reshape(len(records))


def _sort(records: ByteArray) -> None:
    _as_text(records).sort()


def _number_buckets(column: Any, names: dict[str, int]) -> IntArray:
    """Number the buckets of a column that comes as a dictionary; new names are added."""
    own = [names.setdefault(name, len(names)) for name in column.dictionary.to_pylist()]
    numbers: IntArray = np.array(own, dtype=np.int64)[_integers(column.indices)]
    return numbers


def _integers(column: Any) -> IntArray:
    """Values of a column of integers without nulls; pyarrow's own conversion would import pandas (40 MB)."""
    dtype = np.dtype(str(column.type))
    values: IntArray = np.frombuffer(column.buffers()[1], dtype, len(column), dtype.itemsize * column.offset)
    return values


def _characters(column: Any, width: int) -> ByteArray:
    """Characters of a column of ASCII strings, shape (n, width), zero behind the end; longer strings become empty."""
    offset_type = np.dtype(np.int64 if str(column.type) == "large_string" else np.int32)
    _, starts, text = column.buffers()
    offsets = np.frombuffer(starts, offset_type, len(column) + 1, offset_type.itemsize * column.offset)
    data = np.frombuffer(text or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    if (lengths == width).all():
        return data.reshape(len(column), width)
    fits = lengths <= width
    characters = np.zeros((len(column), width), dtype=np.uint8)
    inside = np.arange(width) < np.where(fits, lengths, 0)[:, None]
    characters[inside] = data[np.repeat(fits, lengths)]
    return characters


def _pack(nibbles: ByteArray) -> ByteArray:
    """Two half bytes a byte, shape (n, digits // 2)."""
    packed: ByteArray = (nibbles[:, 0::2] << 4 | nibbles[:, 1::2]).astype(np.uint8, copy=False)
    return packed


def _hash_uids(characters: ByteArray) -> ByteArray:
    """16 bytes for each UID, shape (n, 16). UIDs are digits and dots (PS3.5 9.1): half a byte a character."""
    lanes = np.ascontiguousarray(_pack(_UID_VALUES[characters])).view(np.uint64)
    hashes = np.empty((len(lanes), len(_MIXERS)), dtype=np.uint64)
    for place, mixer in enumerate(_MIXERS):
        mixed = np.full(len(lanes), mixer, dtype=np.uint64)
        for lane in lanes.T:
            mixed = (mixed ^ lane) * np.uint64(mixer)
            mixed ^= mixed >> np.uint64(32)
        hashes[:, place] = mixed
    return hashes.view(np.uint8)


def _big_endian(values: IntArray, dtype: str) -> ByteArray:
    return np.frombuffer(values.astype(dtype).tobytes(), dtype=np.uint8).reshape(len(values), -1)
