"""Reads the series that Parquet files and data frames name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.batch.manifest.columns import explain_columns, match_columns
from dsp_batch.batch.manifest.line import parse_row
from dsp_batch.batch.manifest.rows import Reading, Surroundings
from dsp_batch.errors import ManifestError

_BATCH_ROWS = 4_096


def parse_parquet(stream: IO[bytes], surroundings: Surroundings) -> Iterator[Reading]:
    """Read the series that the rows of a Parquet file name.

    Raises:
        ManifestError: It is damaged, or none of its columns names a series.
    """
    try:
        file = pq.ParquetFile(stream, buffer_size=262_144, pre_buffer=False)
        batches = file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
        yield from _parse_batches(batches, file.schema_arrow, surroundings)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ManifestError(f"{surroundings.source}: not readable as Parquet: {error}") from error


def parse_frame(frame: Any, surroundings: Surroundings) -> Iterator[Reading]:
    """Read the series that the rows of a data frame name, of pandas, Polars or whatever exports an Arrow stream.

    Raises:
        ManifestError: None of its columns names a series.
    """
    table = frame if isinstance(frame, pa.Table) else pa.table(frame)
    return _parse_batches(table.to_batches(max_chunksize=_BATCH_ROWS), table.schema, surroundings)


def _parse_batches(batches: Iterable[Any], schema: pa.Schema, surroundings: Surroundings) -> Iterator[Reading]:
    columns = match_columns(tuple(schema.names))
    if columns is None:
        raise ManifestError(f"{surroundings.source}: {explain_columns('columns')}")
    first_key = columns.keys[0].position
    numbers = count(1)
    for batch in batches:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield parse_row(next(numbers), row[first_key], row, columns, surroundings)
