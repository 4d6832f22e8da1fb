"""Tables that name series: what their columns are for, and which series their rows are about."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, islice, repeat
from typing import IO, Any, NamedTuple, cast

from dsp_batch.batch.manifest.rows import LONGEST_LINE, CarriedColumns, Reading, RowLayout, Surroundings, reject
from dsp_batch.batch.manifest.text import name_at_length, name_together
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.model.series import NO_COLUMNS

_ADDRESSES = ("series_aws_url", "aws_url")
_UUIDS = ("crdc_series_uuid", "series_uuid")
_BUCKET = "aws_bucket"
_GOOGLE = ("gcs_url",)
_UID = ("seriesinstanceuid",)
KEY_COLUMNS = (*_ADDRESSES, *_UUIDS, _BUCKET, *_GOOGLE, *_UID)
"""Columns that say which series a row is about, in lower case; `aws_bucket` helps a UUID."""

_BATCH_ROWS = 4_096


Key = tuple[int, int | None]
"""Place of a column that names the series, and that of `aws_bucket` where it helps."""


class Columns(NamedTuple):
    """What the columns of a table are for."""

    keys: tuple[Key, ...]
    """The columns that name the series, best first."""

    others: Mapping[str, int]
    """Name and place of the columns that are carried along."""

    width: int
    """Number of all columns."""

    @property
    def key_places(self) -> tuple[int, ...]:
        """Places of the columns that name the series or help to."""
        return tuple({place for key in self.keys for place in key if place is not None})


class Rows(NamedTuple):
    """Some rows of a table."""

    numbers: Sequence[int]
    records: Sequence[Any]
    """The text of each, or what is written as JSON where it is rejected."""

    cells: Mapping[int, Sequence[Any]]
    """Place of a key column → its cells."""

    carried: Sequence[Mapping[str, Any]]
    """The other columns of each."""


@lru_cache(maxsize=256)
def match_columns(names: tuple[str, ...]) -> Columns | None:
    """Sort the columns of a table into those that name the series and the others; None when none names a series."""
    found: dict[str, int] = {}
    others: dict[str, int] = {}
    for place, name in enumerate(names):
        folded = name.strip().lower()
        if folded in KEY_COLUMNS and folded not in found:
            found[folded] = place
        elif name:
            others[name if name not in others else f"{name}_{place + 1}"] = place
    bucket = found.get(_BUCKET)
    order: list[tuple[str, int | None]] = [(name, None) for name in _ADDRESSES]
    order += [(name, bucket) for name in _UUIDS if bucket is not None]
    order += [(name, None) for name in (*_GOOGLE, *_UUIDS, *_UID)]
    keys = tuple((found[name], helper) for name, helper in order if name in found)
    return Columns(keys, others, len(names)) if keys else None


def name_parquet(stream: IO[bytes], surroundings: Surroundings) -> Iterator[list[Reading]]:
    """Rows of a Parquet file, batch by batch.

    Raises:
        ManifestError: It is damaged, or none of its columns names a series.
    """
    import pyarrow as pa  # noqa: PLC0415  # 50 ms and 40 MB that text manifests do without
    import pyarrow.parquet as pq  # noqa: PLC0415  # likewise

    try:
        file = pq.ParquetFile(stream, buffer_size=262_144, pre_buffer=False)
        columns = match_columns(tuple(file.schema_arrow.names))
        if columns is None:
            raise ManifestError(f"{surroundings.source}: {explain_columns('columns')}")
        numbers = count(1)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            cells = dict(enumerate(column.to_pylist() for column in batch.columns))
            carried = carry_columns(columns, RowLayout(columns.others), zip(*cells.values(), strict=True))
            lines = [*islice(numbers, batch.num_rows)]
            yield name_rows(Rows(lines, cells[columns.keys[0][0]], cells, [*carried]), columns, surroundings)
            pa.default_memory_pool().release_unused()
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{surroundings.source}: not readable as Parquet: {error}") from error


def carry_columns(columns: Columns, layout: RowLayout, rows: Iterable[Any]) -> Iterable[Mapping[str, Any]]:
    """What each row carries along.

    Args:
        columns: Those of the table.
        layout: Where the rows have them.
        rows: Their texts, cells, or items.
    """
    return map(CarriedColumns, repeat(layout), rows) if columns.others else (NO_COLUMNS for _ in rows)


def name_rows(rows: Rows, columns: Columns, surroundings: Surroundings) -> list[Reading]:
    """Read which series rows are about: each the best of its key columns that names one."""
    numbers, records, cells, carried = rows
    readings: list[Reading | None] = [None] * len(numbers)
    left: Sequence[int] = range(len(numbers))
    for key in columns.keys:
        heads, texts = _read_key(cells, key)
        if all(texts) and len(left) == len(numbers):
            readings = name_together(numbers, texts, carried, surroundings, heads)
            break
        some = [row for row in left if texts[row]]
        own, along = [numbers[row] for row in some], [carried[row] for row in some]
        before = heads and [heads[row] for row in some]
        named = name_together(own, [texts[row] for row in some], along, surroundings, before)
        for row, reading in zip(some, named, strict=True):
            readings[row] = reading
        left = [row for row in left if not texts[row]]
    for row, reading in enumerate(readings) if not all(readings) else ():
        if reading is None:
            own_cells = {place: column[row : row + 1] for place, column in cells.items()}
            one = Rows([numbers[row]], [records[row]], own_cells, [carried[row]])
            readings[row] = _name_row(one, columns, surroundings)
    return cast("list[Reading]", readings)


def _name_row(row: Rows, columns: Columns, surroundings: Surroundings) -> Reading:
    """Read one row by itself."""
    ((number,), (record,), cells, (carried,)) = row
    text = record if isinstance(record, str) else json.dumps(record, default=str)
    trouble = ""
    if isinstance(record, str) and all(cell is None for (cell,) in cells.values()):
        is_cut = len(text) >= LONGEST_LINE
        longest = LONGEST_LINE if is_cut else csv.field_size_limit()
        trouble = f"{'' if is_cut else 'a cell is '}longer than {longest} characters"
    for key in columns.keys:
        heads, (name,) = _read_key(cells, key)
        if not name:
            continue
        try:
            return name_at_length(number, "".join([*(heads or ()), name]), surroundings, carried)
        except OptionsError as error:
            trouble = trouble or error.message
    return reject(number, text, surroundings, trouble or "the columns that name the series are empty")


def _read_key(cells: Mapping[int, Sequence[Any]], key: Key) -> tuple[Sequence[str] | None, Sequence[str]]:
    """What a key column says of each row, empty where it says nothing; before it the URLs of the buckets, if any."""
    place, helper = key
    texts = _texts(cells[place])
    if helper is None:
        return None, texts
    buckets = _texts(cells[helper])
    urls = {bucket: _bucket_url(bucket) for bucket in {*buckets}}
    heads = [*map(urls.__getitem__, buckets)]
    return heads, texts if all(heads) else [text if head else "" for head, text in zip(heads, texts, strict=True)]


def _texts(column: Sequence[Any]) -> Sequence[str]:
    """Cells without the blanks around them; empty in the place of what is no text."""
    if {*map(type, column)} == {str}:
        return [*map(str.strip, column)]
    return [cell.strip() if isinstance(cell, str) else "" for cell in column]


def explain_columns(what: str) -> str:
    """Why a table or an object names no series."""
    names = ", ".join([*_ADDRESSES, *_UUIDS, *_GOOGLE, "SeriesInstanceUID"])
    return f"none of its {what} names a series: give one of {names}"


def _bucket_url(bucket: str) -> str:
    """What comes before the UUIDs of the series of a bucket; empty where its name is."""
    name = bucket.strip().rstrip("/")
    return (f"{name}/" if "://" in name else f"s3://{name}/") if name else ""
