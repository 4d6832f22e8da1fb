"""Tables that name series: CSV and TSV with a header row, Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count, islice, repeat
from typing import IO, Any, NamedTuple

from dsp_batch.batch.manifest_lines import DELIMITERS, LONGEST_LINE, Reading, Surroundings, reject, split_record
from dsp_batch.batch.manifest_text import follow_comment, name_series
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.naming import normalise_uuid

_ADDRESSES = ("series_aws_url", "aws_url")
_UUIDS = ("crdc_series_uuid", "series_uuid")
_BUCKET = "aws_bucket"
_GOOGLE = ("gcs_url",)
_UID = ("seriesinstanceuid",)
KEY_COLUMNS = (*_ADDRESSES, *_UUIDS, _BUCKET, *_GOOGLE, *_UID)
"""Columns that say which series a row is about, in lower case; `aws_bucket` helps a UUID."""

PREAMBLE_ROWS = 20
"""How many rows of one cell may come before a header row."""

_BATCH_ROWS = 4_096
_LONGEST_RECORD = 20
"""Lines that a cell with line ends may make a record of; behind that its quotation mark is taken for a mistake."""


class Header(NamedTuple):
    """The header row of a table in text."""

    names: tuple[str, ...]
    delimiter: str
    place: int
    """Lines before it."""


class Columns(NamedTuple):
    """What the columns of a table are for."""

    keys: tuple[tuple[int, int | None], ...]
    """Places of the columns that name the series, best first; with the place of `aws_bucket` where it helps."""

    others: tuple[tuple[str, int], ...]
    """Name and place of the columns that are carried along."""

    width: int
    """Number of all columns."""


def find_header(lines: Sequence[str]) -> Header | None:
    """Find the row with the names of key columns among the first lines of a text.

    Only comments, blank lines and rows of one cell that name no series may come before it.
    """
    for place, line in enumerate(lines):
        if not line or line.startswith("#") or len(line) >= LONGEST_LINE:
            continue
        width = 1
        for delimiter in DELIMITERS:
            cells = tuple(split_record(line, delimiter))
            if match_columns(cells) is not None:
                return Header(cells, delimiter, place)
            width = max(width, sum(1 for cell in cells if cell))
        if width > 1 or "://" in line or normalise_uuid(line):
            return None
    return None


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
    return Columns(keys, tuple(others.items()), len(names)) if keys else None


def name_records(lines: Iterator[str], header: Header, surroundings: Surroundings) -> Iterator[Reading]:
    """Rows of a CSV or TSV table, given from its first line on."""
    columns = match_columns(header.names)
    if columns is None:
        raise ManifestError(f"{surroundings.source}: no column of the header row names a series")
    for line in islice(lines, header.place + 1):
        if line.startswith("#"):
            surroundings = follow_comment(line, surroundings)
    for number, record in _join_records(enumerate(lines, header.place + 2)):
        if record and (record[0] != "#" or header.delimiter in record):
            cells = split_record(record, header.delimiter)
            if cells[0] != header.names[0] or tuple(cells) != header.names:  # files put together repeat it
                yield read_row((number, record), cells, columns, surroundings)


def name_parquet(stream: IO[bytes], surroundings: Surroundings) -> Iterator[Reading]:
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
        key = columns.keys[0][0]
        counter = count(1)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield read_row((next(counter), cells[key]), cells, columns, surroundings)
            pa.default_memory_pool().release_unused()
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{surroundings.source}: not readable as Parquet: {error}") from error


def read_row(line: tuple[int, Any], cells: Sequence[Any], columns: Columns, surroundings: Surroundings) -> Reading:
    """Read which series a row is about: the best of its key columns that names one.

    Args:
        line: Number of the row, and its text or what is written as JSON where it is rejected.
        cells: Its cells.
        columns: What they are for.
        surroundings: What they leave open.
    """
    number, record = line
    if len(cells) < columns.width:
        cells = [*cells, *repeat(None, columns.width - len(cells))]
    carried = {
        name: (cell or None) if isinstance(cell := cells[place], str) else _plain(cell)
        for name, place in columns.others
    }
    is_cut = isinstance(record, str) and len(record) >= LONGEST_LINE
    trouble = f"longer than {LONGEST_LINE} characters" if is_cut else ""
    for place, helper in columns.keys if not trouble else ():
        cell = cells[place]
        text = cell.strip() if isinstance(cell, str) else ""
        bucket = _bucket_url(cells[helper]) if helper is not None else ""
        if not text or (helper is not None and not bucket):
            continue
        try:
            return name_series(number, f"{bucket}{text}", surroundings, carried)
        except OptionsError as error:
            trouble = trouble or error.message
    text = record if isinstance(record, str) else json.dumps(record, default=str)
    return reject(number, text, surroundings, trouble or "the columns that name the series are empty")


def explain_columns(what: str) -> str:
    """Why a table or an object names no series."""
    return f"none of its {what} names a series: give one of {', '.join(KEY_COLUMNS)}"


def _bucket_url(bucket: Any) -> str:
    """What comes before the UUIDs of the series of a bucket; empty where its name is."""
    name = bucket.strip().rstrip("/") if isinstance(bucket, str) else ""
    return (f"{name}/" if "://" in name else f"s3://{name}/") if name else ""


def _plain(value: Any) -> Any:
    """A value that is no text, as a result row can carry it."""
    return json.dumps(value, default=str) if isinstance(value, (list, dict, tuple)) else value


def _join_records(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Join lines whose quoted cell holds line ends. A quotation mark that is never closed spoils its own line alone."""
    waiting: list[tuple[int, str]] = []
    while record := waiting.pop(0) if waiting else next(lines, None):
        text = record[1]
        if '"' in text and text.count('"') % 2:
            waiting.extend(islice(lines, _LONGEST_RECORD - len(waiting)))
            joined, used = text, 0
            while joined.count('"') % 2 and used < len(waiting) and len(joined) < LONGEST_LINE:
                joined = f"{joined}\n{waiting[used][1]}"
                used += 1
            if joined.count('"') % 2 == 0:
                del waiting[:used]
                record = record[0], joined  # the record that begins here
        yield record
