"""Index files as a stranger reads them: with pyarrow and json alone."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.index.parquet import serialize_index
from dsp_batch.index.series_index import SeriesIndex


def open_index_file(index: SeriesIndex, program: str = "1.0") -> tuple[pa.Table, dict[str, Any]]:
    """The table and the description of an index that was written to a file."""
    return read_index_file(serialize_index(index, program))


def read_index_file(data: bytes) -> tuple[pa.Table, dict[str, Any]]:
    """The table and the description in an index file."""
    source = pa.BufferReader(data)
    return pq.read_table(source), json.loads(pq.read_metadata(source).metadata[b"dsp_batch"])


def field_of(table: pa.Table, name: str) -> tuple[pa.DataType, dict[str, str]]:
    """Type of a column and the metadata of its field."""
    field = table.schema.field(name)
    return field.type, {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}


def columns_by_tag(table: pa.Table) -> dict[int, dict[str, str]]:
    """Tag → name of its column or, for binary elements, of its two columns: `value`, or `size` and `hash`."""
    found: dict[int, dict[str, str]] = {}
    for name in table.column_names:
        _, metadata = field_of(table, name)
        if "tag" in metadata:
            kind = "size" if name.endswith("_Size") else "hash" if name.endswith("_Hash") else "value"
            found.setdefault(int(metadata["tag"], 16), {})[kind] = name
    return found
