"""Build Arrow arrays from Python values, and read and write tables as Parquet files in memory.

`pyarrow.array` checks whether a list is one of pandas' own types, and imports pandas for that where it is installed.
That takes longer than building the whole index of a series.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.errors import HeaderError, first_line
from dsp_batch.index.seal import CHECKSUM_KEY, NO_CHECKSUM, check_seal, seal


def build_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Build an array.

    Args:
        values: The values, None for null. A value of a list type is a sequence of values, which may be None in turn.
        kind: An integer, floating point, string, struct or list type. A struct is a tuple of the values of its fields.
    """
    valid = [value is not None for value in values]
    if pa.types.is_list(kind):
        lengths = [len(value) if value is not None else 0 for value in values]
        child = build_array(list(chain.from_iterable(value for value in values if value is not None)), kind.value_type)
        buffers = [_pack_validity(valid), _offsets(lengths)]
        return pa.Array.from_buffers(kind, len(values), buffers, children=[child])
    if pa.types.is_struct(kind):
        children = [
            build_array([value[at] if value else None for value in values], kind[at].type)
            for at in range(kind.num_fields)
        ]
        return pa.Array.from_buffers(kind, len(values), [_pack_validity(valid)], children=children)
    if pa.types.is_string(kind):
        texts = [value.encode("utf-8", "replace") if value is not None else b"" for value in values]
        buffers = [_pack_validity(valid), _offsets([len(text) for text in texts]), pa.py_buffer(b"".join(texts))]
        return pa.Array.from_buffers(kind, len(values), buffers)
    numbers = np.array([value if value is not None else 0 for value in values], dtype=kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(values), [_pack_validity(valid), pa.py_buffer(numbers)])


def _pack_validity(valid: list[bool]) -> pa.Buffer | None:
    if all(valid):
        return None
    return pa.py_buffer(np.packbits(np.array(valid, bool), bitorder="little"))


def _offsets(lengths: list[int]) -> pa.Buffer:
    return pa.py_buffer(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def read_parquet(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file that is in memory.

    The file is read in this thread only: Arrow's own threads may outlive the interpreter, which then aborts when the
    process ends.

    Raises:
        pyarrow.ArrowInvalid: The data are no Parquet file.
        ValueError: It is not as `write_parquet` has written it. Files of others have no checksum.
    """
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False, page_checksum_verification=True)
    check_seal(data, file.metadata.metadata)
    return file.read(columns, use_threads=False)


def write_parquet(table: pa.Table, metadata: Mapping[bytes, bytes] | None = None, **settings: Any) -> bytes:
    """Write a table as the bytes of a Parquet file, compressed with zstd, which hold their own checksum.

    Args:
        table: The table.
        metadata: Metadata of the file. Arrow writes that of the schema twice, once of them in base64.
        settings: Those of `pyarrow.parquet.ParquetWriter`.
    """
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", **settings) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({**(metadata or {}), CHECKSUM_KEY: NO_CHECKSUM})
    return seal(sink.getvalue())


class ColumnFile:
    """A Parquet file in memory, whose columns any thread may read when it needs them.

    Args:
        data: The file.

    Raises:
        pyarrow.ArrowInvalid: It is no Parquet file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._lock = threading.Lock()
        self._file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)

    def __reduce__(self) -> tuple[type[ColumnFile], tuple[bytes]]:
        return ColumnFile, (self._data,)

    @property
    def num_rows(self) -> int:
        """Return the number of rows."""
        return int(self._file.metadata.num_rows)

    @cached_property
    def schema(self) -> pa.Schema:
        """Return the names and types of the columns."""
        return self._file.schema_arrow

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """Return the key-value metadata of the file."""
        return self._file.metadata.metadata or {}

    def column(self, name: str) -> pa.ChunkedArray:
        """Read one column."""
        return self._read([name]).column(0)

    def read(self) -> pa.Table:
        """Read all columns."""
        return self._read(None)

    def _read(self, names: list[str] | None) -> pa.Table:
        with self._lock:  # one reader serves the threads that draw
            try:
                table = self._file.read(names, use_threads=False)
                table.validate(full=True)  # a text may be no UTF-8
            except (pa.ArrowException, OSError) as error:
                raise HeaderError(f"a column of the index is damaged, build it again: {first_line(error)}") from error
            return table
