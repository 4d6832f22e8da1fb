"""Tables that name series: CSV and TSV with a header row, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, compress, count, islice
from operator import add
from typing import IO, Any, NamedTuple

from dsp_batch.batch.manifest_lines import (
    DELIMITERS,
    LONGEST_LINE,
    Reading,
    Surroundings,
    reject,
    split_record,
    split_records,
)
from dsp_batch.batch.manifest_text import follow_comments, name_at_length, name_together
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.model import NO_COLUMNS
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


Table = Sequence[Sequence[Any]]
"""Cells, column by column."""

Key = tuple[int, int | None]
"""Place of a column that names the series, and that of `aws_bucket` where it helps."""


class Columns(NamedTuple):
    """What the columns of a table are for."""

    keys: tuple[Key, ...]
    """The columns that name the series, best first."""

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


def name_records(blocks: Iterator[list[str]], header: Header, surroundings: Surroundings) -> Iterator[list[Reading]]:
    """Rows of a CSV or TSV table, given from its first line on; its header row is in the first block."""
    columns = match_columns(header.names)
    if columns is None:
        raise ManifestError(f"{surroundings.source}: no column of the header row names a series")
    head = next(blocks)
    surroundings = follow_comments(head[: header.place], surroundings)
    for numbers, records in _join_records(chain([head[header.place + 1 :]], blocks), header):
        table = split_records(records, header.delimiter, columns.width)
        is_row = _tell_rows(records, table, header)
        if all(is_row):
            yield name_rows(numbers, records, table, columns, surroundings)
        else:
            table = [[*compress(column, is_row)] for column in table]
            own = [*compress(numbers, is_row)], [*compress(records, is_row)]
            yield name_rows(*own, table, columns, surroundings)


def _tell_rows(records: Sequence[str], table: Table, header: Header) -> list[bool]:
    """Which records are neither empty nor comments nor the header row, which files put together repeat."""
    is_row = [bool(record) and (record[0] != "#" or header.delimiter in record) for record in records]
    if header.names[0] in table[0]:
        return [kept and row != header.names for kept, row in zip(is_row, zip(*table, strict=True), strict=True)]
    return is_row


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
            table = [column.to_pylist() for column in batch.columns]
            lines = [*islice(numbers, batch.num_rows)]
            yield name_rows(lines, table[columns.keys[0][0]], table, columns, surroundings)
            pa.default_memory_pool().release_unused()
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{surroundings.source}: not readable as Parquet: {error}") from error


def name_rows(
    numbers: Sequence[int], records: Sequence[Any], table: Table, columns: Columns, surroundings: Surroundings
) -> list[Reading]:
    """Read which series rows are about: each the best of its key columns that names one.

    Args:
        numbers: Number of each row.
        records: Its text, or what is written as JSON where it is rejected.
        table: Their cells, column by column.
        columns: What these are for.
        surroundings: What they leave open.
    """
    carried = _carry(table, columns) if columns.others else [NO_COLUMNS] * len(numbers)
    readings: dict[int, Reading | None] = dict.fromkeys(range(len(numbers)))
    left = [*readings]
    for key in columns.keys if left else ():
        texts = _read_key(table, key)
        some = left if all(texts) else [row for row in left if texts[row]]
        own, cells = [numbers[row] for row in some], map(carried.__getitem__, some)
        named = name_together(own, [texts[row] for row in some], cells, surroundings)
        readings.update(zip(some, named, strict=True))
        left = [row for row in left if not texts[row]] if len(some) < len(left) else []
    return [
        reading
        or _name_row((numbers[row], records[row]), [cells[row] for cells in table], columns, carried[row], surroundings)
        for row, reading in readings.items()
    ]


def _name_row(
    line: tuple[int, Any],
    cells: Sequence[Any],
    columns: Columns,
    carried: Mapping[str, Any],
    surroundings: Surroundings,
) -> Reading:
    """Read one row by itself."""
    number, record = line
    text = record if isinstance(record, str) else json.dumps(record, default=str)
    trouble = ""
    if isinstance(record, str) and all(cell is None for cell in cells):
        is_cut = len(text) >= LONGEST_LINE
        longest = LONGEST_LINE if is_cut else csv.field_size_limit()
        trouble = f"{'' if is_cut else 'a cell is '}longer than {longest} characters"
    for key in columns.keys:
        name = _read_key([[cell] for cell in cells], key)[0]
        if not name:
            continue
        try:
            return name_at_length(number, name, surroundings, carried)
        except OptionsError as error:
            trouble = trouble or error.message
    return reject(number, text, surroundings, trouble or "the columns that name the series are empty")


def _read_key(table: Table, key: Key) -> Sequence[str]:
    """What a key column says of each row; empty where it says nothing."""
    place, helper = key
    texts = _texts(table[place])
    if helper is None:
        return texts
    buckets = _texts(table[helper])
    urls = {bucket: _bucket_url(bucket) for bucket in {*buckets}}
    if all(texts) and all(urls.values()):
        return [*map(add, map(urls.__getitem__, buckets), texts)]
    return [f"{urls[name]}{text}" if text and urls[name] else "" for name, text in zip(buckets, texts, strict=True)]


def _texts(column: Sequence[Any]) -> Sequence[str]:
    """Cells without the blanks around them; empty in the place of what is no text."""
    if {*map(type, column)} == {str}:
        return [*map(str.strip, column)]
    return [cell.strip() if isinstance(cell, str) else "" for cell in column]


def _carry(table: Table, columns: Columns) -> Sequence[Mapping[str, Any]]:
    """The columns of each row that are carried along."""
    names = [name for name, _ in columns.others]
    cells = [_plain_cells(table[place]) for _, place in columns.others]
    return [dict(zip(names, row)) for row in zip(*cells, strict=True)]  # noqa: B905  # as long as each other


def explain_columns(what: str) -> str:
    """Why a table or an object names no series."""
    return f"none of its {what} names a series: give one of {', '.join(KEY_COLUMNS)}"


def _bucket_url(bucket: str) -> str:
    """What comes before the UUIDs of the series of a bucket; empty where its name is."""
    name = bucket.strip().rstrip("/")
    return (f"{name}/" if "://" in name else f"s3://{name}/") if name else ""


def _plain_cells(column: Sequence[Any]) -> Sequence[Any]:
    """Cells as result rows can carry them."""
    kinds = {*map(type, column)}
    if kinds == {str}:
        return column if "" not in column else [cell or None for cell in column]
    return [*map(_plain, column)] if kinds & {str, list, dict, tuple} else column


def _plain(value: Any) -> Any:
    """A cell, as a result row can carry it."""
    if isinstance(value, str):
        return value or None
    return json.dumps(value, default=str) if isinstance(value, (list, dict, tuple)) else value


def _join_records(blocks: Iterable[list[str]], header: Header) -> Iterator[tuple[list[int], list[str]]]:
    """Number the lines behind a header; join those whose quoted cell holds line ends.

    A quotation mark that is never closed spoils its own line alone.
    """
    first, held = header.place + 2, list[str]()
    for block in chain(blocks, [None]):
        lines = [*held, *(block or ())]
        records: list[str] = []
        numbers: list[int] = []
        place = 0
        if '"' not in "".join(lines) or not any(line.count('"') % 2 for line in lines):
            records, numbers, place = lines, [*range(first, first + len(lines))], len(lines)
        while place < len(lines) and (block is None or place + _LONGEST_RECORD < len(lines)):
            joined = _join_record(lines[place : place + _LONGEST_RECORD + 1], header.delimiter)
            records.append("\n".join(joined))
            numbers.append(first + place)
            place += len(joined)
        if records:
            yield numbers, records
        held = lines[place:]
        first += place


def _join_record(lines: list[str], delimiter: str) -> list[str]:
    """The first of some lines, with those that its last quoted cell goes on in."""
    marks = characters = 0
    for number, line in enumerate(lines, 1):
        marks += line.count('"')
        if marks % 2 == 0:
            joined = lines[:number]
            return joined if number == 1 or split_record("\n".join(joined), delimiter) else lines[:1]
        characters += len(line) + 1
        if characters > LONGEST_LINE:
            break
    return lines[:1]
