"""Result rows as Parquet parts: written while the run goes on, compacted when it ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsp_batch.cache import Cache
from dsp_batch.errors import SinkError
from dsp_batch.model import SeriesResult

ROWS_PER_PART = 20_000
_TYPES = {
    "n_instances": pa.int32(),
    "n_frames": pa.int32(),
    "n_tiles": pa.int32(),
    "window_center": pa.float64(),
    "window_width": pa.float64(),
    "width": pa.int32(),
    "height": pa.int32(),
    "preview_bytes": pa.int64(),
    "bytes_read": pa.int64(),
    "requests": pa.int64(),
    "seconds_headers": pa.float64(),
    "seconds_index": pa.float64(),
    "seconds_render": pa.float64(),
    "attempt": pa.int32(),
}
SCHEMA = pa.schema([(f.name, _TYPES.get(f.name, pa.string())) for f in fields(SeriesResult) if f.name != "columns"])
"""The columns of a result row; the manifest's other columns follow as text."""


def carried_name(name: str) -> str:
    """Name of a manifest column in the results: `manifest_` before one that is taken."""
    return f"manifest_{name}" if name in SCHEMA.names else name


def build_table(rows: Sequence[SeriesResult]) -> pa.Table:
    """Result rows as a table; a carried column that a row lacks is null."""
    arrays = [pa.array([getattr(row, f.name) for row in rows], f.type) for f in SCHEMA]
    schema = SCHEMA
    for name in dict.fromkeys(name for row in rows for name in row.columns):
        texts = [_text(row.columns.get(name)) for row in rows]
        arrays.append(pa.array(texts, pa.string()))
        schema = schema.append(pa.field(carried_name(name), pa.string()))
    return pa.Table.from_arrays(arrays, schema=schema)


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value)


@dataclass(slots=True, kw_only=True)
class ResultsWriter:
    """Gathers rows and writes them as parts of one attempt."""

    cache: Cache
    folder: str
    """Key of `runs/{RUN}/results`."""

    attempt: int
    rows: list[SeriesResult] = field(default_factory=list)
    parts: int = 0

    def add(self, rows: Iterable[SeriesResult]) -> None:
        """Take up rows; writes a part when enough have come together."""
        self.rows.extend(rows)
        while len(self.rows) >= ROWS_PER_PART:
            self._write(self.rows[:ROWS_PER_PART])
            del self.rows[:ROWS_PER_PART]

    def flush(self) -> None:
        """Write what has come together."""
        if self.rows:
            self._write(self.rows)
            self.rows = []

    def _write(self, rows: list[SeriesResult]) -> None:
        write_table(self.cache, build_table(rows), f"{self.folder}/part-{self.attempt:04d}-{self.parts:06d}.parquet")
        self.parts += 1


def write_table(cache: Cache, table: pa.Table, key: str) -> None:
    """Write a table whole under its final key."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    cache.write(key, sink.getvalue().to_pybytes())


def list_parts(cache: Cache, folder: str) -> list[str]:
    """Keys of the parts of a run, oldest attempt first."""
    names = sorted(entry.key for entry in cache.list(folder))
    return [f"{folder}/{name}" for name in names if name.startswith("part-") and name.endswith(".parquet")]


def read_part(cache: Cache, key: str, columns: list[str] | None = None) -> pa.Table:
    """Read one part.

    Raises:
        SinkError: It is gone or no Parquet.
    """
    data = cache.read(key)
    if data is None:
        raise SinkError(f"{cache.url_of(key)} is gone: is another run compacting the same results? run again after it")
    try:
        return pq.read_table(pa.BufferReader(data), columns=columns)
    except pa.ArrowInvalid as error:
        raise SinkError(f"{cache.url_of(key)} is no readable Parquet file: delete it and run again") from error


def latest_rows(cache: Cache, folder: str, columns: list[str]) -> pa.Table:
    """The row of each series that counts: that of the highest attempt.

    Args:
        cache: The cache directory.
        folder: Key of `runs/{RUN}/results`.
        columns: What to read besides `series_uuid` and `attempt`.

    Returns:
        A table of these columns and of `part` and `row`, which say where each was found.
    """
    wanted = list(dict.fromkeys(["series_uuid", "attempt", *columns]))
    tables = []
    for number, key in enumerate(list_parts(cache, folder)):
        table = read_part(cache, key, wanted)
        table = table.append_column("part", pa.array(np.full(len(table), number, np.int32)))
        tables.append(table.append_column("row", pa.array(np.arange(len(table), dtype=np.int32))))
    if not tables:
        schema = pa.schema([SCHEMA.field(name) for name in wanted])
        return schema.append(pa.field("part", pa.int32())).append(pa.field("row", pa.int32())).empty_table()
    table = pa.concat_tables(tables)
    order = pc.sort_indices(table, [("series_uuid", "ascending"), ("attempt", "descending"), ("part", "descending")])
    uuids = table.column("series_uuid").combine_chunks().take(order)
    first = np.ones(len(uuids), bool)
    if len(uuids) > 1:
        first[1:] = pc.not_equal(uuids[1:], uuids[:-1]).to_numpy(zero_copy_only=False)
    return table.take(order.filter(pa.array(first)))


def compact(cache: Cache, folder: str, attempt: int) -> None:
    """Leave exactly one row a series: that of the highest attempt. Parts without older rows stay as they are."""
    keys = list_parts(cache, folder)
    latest = latest_rows(cache, folder, [])
    numbers = latest.column("part").to_numpy()
    rows = latest.column("row").to_numpy()
    for number, key in enumerate(keys):
        keep = np.sort(rows[numbers == number])
        table = read_part(cache, key)
        if len(keep) == len(table):
            continue
        if len(keep):
            write_table(cache, table.take(pa.array(keep)), f"{folder}/part-{attempt:04d}-c{number:05d}.parquet")
        cache.delete(key)
