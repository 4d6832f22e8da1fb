"""Reads the series that the rows of tables name: Parquet files, data frames, and the rows that other readers find."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.batch.manifest.entries import Reading, Surroundings
from dsp_batch.batch.manifest.line import parse_text
from dsp_batch.batch.manifest.rejected import reject
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.model.series import NO_COLUMNS

_KEY_COLUMNS = (
    ("series_aws_url", "", ""),
    ("aws_url", "", ""),
    ("crdc_series_uuid", "aws_bucket", "s3"),
    ("series_uuid", "aws_bucket", "s3"),
    ("gcs_url", "", ""),
    ("crdc_series_uuid", "gcs_bucket", "gs"),
    ("series_uuid", "gcs_bucket", "gs"),
    ("crdc_series_uuid", "", ""),
    ("series_uuid", "", ""),
    ("seriesinstanceuid", "", ""),
)
"""Columns that name the series, best first; the column with the bucket that goes with them, and its scheme."""

_KNOWN = {name for key, bucket, _ in _KEY_COLUMNS for name in (key, bucket) if name}

_BATCH_ROWS = 4_096


class KeyColumn(NamedTuple):
    """A column that names the series."""

    position: int
    bucket: int | None
    """Position of the column with the bucket that goes with it; None where it needs none."""

    scheme: str
    """Scheme of the URL of that bucket."""


class Columns(NamedTuple):
    """The columns of a table, or the keys of a JSON object."""

    keys: tuple[KeyColumn, ...]
    """The columns that name the series, best first."""

    others: Mapping[str, int]
    """Name → position of the columns that are carried along."""

    width: int
    """Number of all columns."""

    def list_names(self, row: Sequence[Any]) -> Iterator[str]:
        """List what the key columns of a row say of its series, best first, without those that are empty."""
        for position, bucket, scheme in self.keys:
            cell = row[position]
            text = cell.strip() if isinstance(cell, str) else ""
            url = "" if bucket is None else _bucket_url(row[bucket], scheme)
            if text and (url or bucket is None):
                yield url + text

    def carry(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return the cells of the other columns, as a result row can hold them."""
        return {name: _plain(row[position]) for name, position in self.others.items()}


@lru_cache(maxsize=256)
def match_columns(names: tuple[str, ...]) -> Columns | None:
    """Sort the columns of a table by their names; None where no column names a series."""
    found: dict[str, int] = {}
    others: dict[str, int] = {}
    for position, name in enumerate(names):
        folded = name.strip().lower()
        if folded in _KNOWN and folded not in found:
            found[folded] = position
        elif name:
            others[name if name not in others else f"{name}_{position + 1}"] = position
    keys = tuple(
        KeyColumn(found[key], found.get(bucket), scheme)
        for key, bucket, scheme in _KEY_COLUMNS
        if key in found and (bucket in found or not bucket)
    )
    return Columns(keys, others, len(names)) if keys else None


def explain_columns(what: str) -> str:
    """Say why a table or an object names no series."""
    names = "series_aws_url, aws_url, crdc_series_uuid, series_uuid, gcs_url, SeriesInstanceUID"
    return f"none of its {what} names a series: give one of {names}"


def parse_row(number: int, record: Any, row: Sequence[Any], columns: Columns, surroundings: Surroundings) -> Reading:
    """Read which series a row is about: the best of its key columns that names one decides.

    Args:
        number: Its line, row or item.
        record: The text or value that is shown where it names none.
        row: Its cells, one for each column.
        columns: What they are for.
        surroundings: What they leave open.
    """
    trouble = ""
    for name in columns.list_names(row):
        try:
            return parse_text(number, name, surroundings, columns.carry(row) if columns.others else NO_COLUMNS)
        except OptionsError as error:
            trouble = trouble or error.message
    return reject(number, record, surroundings.source, trouble or "the columns that name the series are empty")


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
    shown = columns.keys[0].position
    rows = (zip(*(column.to_pylist() for column in batch.columns), strict=True) for batch in batches)
    for number, row in enumerate(chain.from_iterable(rows), 1):
        yield parse_row(number, row[shown], row, columns, surroundings)


def _bucket_url(bucket: Any, scheme: str) -> str:
    """Return the URL of a bucket, with a slash at its end; empty where the cell is."""
    name = bucket.strip().rstrip("/") if isinstance(bucket, str) else ""
    return (f"{name}/" if "://" in name else f"{scheme}://{name}/") if name else ""


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value or None
    return json.dumps(value, default=str) if isinstance(value, (list, dict, tuple)) else value
