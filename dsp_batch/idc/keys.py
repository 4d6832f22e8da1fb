"""Sorted tables over the IDC index: where a series is, found by its UUID or its SeriesInstanceUID.

A key is a hash of 96 bits in two parts: the first is sorted and searched, the second confirms. A table takes 17 bytes a
series, by SeriesInstanceUID 29; the columns themselves would take 100.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsp_batch.errors import ManifestError
from dsp_batch.model.identifiers import UUID_CHARACTERS, UUID_DIGITS, Hashes, Matches, find_hashes, hash_bytes
from dsp_batch.model.series import ByteArray, IntArray

INSTALL_HINT = "pip install 'dsp-batch[idc]'"

_BATCH_ROWS = 16_384
_BUFFER_BYTES = 262_144
_UID_CHARACTERS = 64

_HEX_VALUES = np.zeros(256, dtype=np.uint8)
_HEX_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_HEX_VALUES[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
_UID_VALUES = np.zeros(256, dtype=np.uint8)
_UID_VALUES[np.frombuffer(b"0123456789.", np.uint8)] = np.arange(1, 12)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyTable:
    """Keys in sorted order and what they lead to."""

    keys: Hashes
    buckets: ByteArray
    """Entry of `bucket_names`, shape (n,)."""

    values: npt.NDArray[np.integer[Any]]
    """What the keys lead to: rows of the file, shape (n,), or UUIDs, shape (n, 16)."""

    bucket_names: tuple[str, ...]


@lru_cache(maxsize=4)
def load_uuids(path: Path) -> KeyTable:
    """The table of an index file from series UUIDs to rows."""
    return _load_table(path, "crdc_series_uuid", lambda column: hash_bytes(_pack_uuids(column)))


@lru_cache(maxsize=4)
def load_series_uids(path: Path) -> KeyTable:
    """The table of an index file from SeriesInstanceUIDs to series UUIDs."""
    table = _load_table(path, "SeriesInstanceUID", lambda column: _hash_uids(_characters(column, _UID_CHARACTERS)))
    uuids = np.empty((len(table.values), 16), dtype=np.uint8)
    start = 0
    for batch in read_batches(path, ["crdc_series_uuid"]):
        uuids[start : start + batch.num_rows] = _pack_uuids(batch.column(0))
        start += batch.num_rows
    return replace(table, values=uuids[table.values])


def find_uuids(table: KeyTable, series_uuids: Sequence[str]) -> Matches:
    """Look hyphenated series UUIDs up in a table by UUID."""
    uuids = np.frombuffer(bytes.fromhex("".join(series_uuids).replace("-", "")), np.uint8)
    return find_hashes(table.keys, hash_bytes(uuids.reshape(-1, 16)))


def find_uids(table: KeyTable, series_instance_uids: Sequence[str]) -> Matches:
    """Look SeriesInstanceUIDs of at most 64 characters up in a table by SeriesInstanceUID."""
    characters = np.array(series_instance_uids, f"S{_UID_CHARACTERS}").view(np.uint8)
    return find_hashes(table.keys, _hash_uids(characters.reshape(-1, _UID_CHARACTERS)))


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


def require_columns(path: Path, columns: list[str]) -> None:
    """Make sure that an index file has some columns: they come and go with the versions of its package.

    Raises:
        ManifestError: It lacks one, or cannot be read.
    """
    lacking = [name for name in columns if name not in _open(path).schema_arrow.names]
    if lacking:
        raise _explain_lack(path, ", ".join(lacking))


def _open(path: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read
    import pyarrow.parquet as pq  # noqa: PLC0415  # likewise

    try:
        # A column of all of IDC is one chunk of up to 20 MB: it is read piece by piece.
        return pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False, read_dictionary=["aws_bucket"])
    except KeyError:
        raise _explain_lack(path, "aws_bucket") from None
    except (OSError, pa.ArrowException) as error:
        raise _explain(path, error) from error


def _explain_lack(path: Path, columns: str) -> ManifestError:
    return ManifestError(f"the IDC index {path} has no column {columns}: {INSTALL_HINT} --upgrade")


def _explain(path: Path, error: Exception) -> ManifestError:
    return ManifestError(f"the IDC index {path} cannot be read ({error}); {INSTALL_HINT} again")


def _load_table(path: Path, column: str, hash_column: Callable[[Any], Hashes]) -> KeyTable:
    """Hash a column and sort it. Among equal keys the row of the latest version comes first."""
    require_columns(path, [column, "aws_bucket"])
    count = count_rows(path)
    first, second = np.empty(count, dtype=np.uint64), np.empty(count, dtype=np.uint32)
    buckets, ages = np.empty(count, dtype=np.uint8), np.zeros(count, dtype=np.int16)
    names: dict[str, int] = {}
    start = 0
    for batch in read_batches(path, [column, "aws_bucket", "max_idc_version"]):
        part = slice(start, start + batch.num_rows)
        first[part], second[part] = hash_column(batch.column(0))
        buckets[part] = _number_buckets(batch.column(1), names)
        if batch.num_columns == 3:
            ages[part] = -_integers(batch.column(2))
        start += batch.num_rows
    order = np.lexsort((ages, first)).astype(np.int32)
    del ages
    # One after the other: a copy of all of IDC takes 8 MB.
    first = first[order]
    second = second[order]
    return KeyTable(keys=Hashes(first, second), buckets=buckets[order], values=order, bucket_names=tuple(names))


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


def _pack_uuids(column: Any) -> ByteArray:
    """The 16 bytes of each UUID, shape (n, 16)."""
    return _pack(_HEX_VALUES[_characters(column, UUID_CHARACTERS)[:, UUID_DIGITS]])


def _hash_uids(characters: ByteArray) -> Hashes:
    """UIDs are digits and dots (PS3.5 9.1): half a byte a character."""
    return hash_bytes(_pack(_UID_VALUES[characters]))


def _pack(nibbles: ByteArray) -> ByteArray:
    """Two half bytes a byte, shape (n, digits // 2)."""
    packed: ByteArray = (nibbles[:, 0::2] << 4 | nibbles[:, 1::2]).astype(np.uint8, copy=False)
    return packed
