"""Tables that name series: CSV and TSV with a header row, JSON, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import IO, Any, NamedTuple, TextIO

from dsp_batch.batch.manifest_text import (
    DELIMITERS,
    Reading,
    RejectedLine,
    Surroundings,
    TextLine,
    follow_comment,
    name_series,
    read_name,
    shorten,
)
from dsp_batch.errors import ManifestError, OptionsError

_ADDRESSES = ("series_aws_url", "aws_url")
_UUIDS = ("crdc_series_uuid", "series_uuid")
_BUCKET = "aws_bucket"
_GOOGLE = ("gcs_url",)
_UID = ("seriesinstanceuid",)
KEY_COLUMNS = frozenset((*_ADDRESSES, *_UUIDS, _BUCKET, *_GOOGLE, *_UID))
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


def find_header(lines: Sequence[str]) -> Header | None:
    """Find the row with the names of key columns among the first lines of a text.

    Only comments, blank lines and rows of one cell may come before it.
    """
    for place, line in enumerate(lines):
        if not line or line.startswith("#"):
            continue
        width = 1
        for delimiter in DELIMITERS:
            cells = tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), []))
            if match_columns(cells) is not None:
                return Header(cells, delimiter, place)
            width = max(width, sum(1 for cell in cells if cell))
        if width > 1:
            return None
    return None


@lru_cache(maxsize=256)
def match_columns(names: tuple[str, ...]) -> Columns | None:
    """Sort the columns of a table into those that name the series and the others; None when none names a series."""
    found: dict[str, int] = {}
    others: list[tuple[str, int]] = []
    taken: set[str] = set()
    for place, name in enumerate(names):
        folded = name.strip().lower()
        if folded in KEY_COLUMNS and folded not in found:
            found[folded] = place
        elif name:
            unique = name if name not in taken else f"{name}_{place + 1}"
            taken.add(unique)
            others.append((unique, place))
    bucket = found.get(_BUCKET)
    order = [(name, None) for name in _ADDRESSES]
    order += [(name, bucket) for name in _UUIDS if bucket is not None]
    order += [(name, None) for name in (*_GOOGLE, *_UUIDS, *_UID)]
    keys = tuple((found[name], helper) for name, helper in order if name in found)
    return Columns(keys, tuple(others)) if keys else None


def name_text_rows(
    lines: Iterator[TextLine | RejectedLine], header: Header, source: str, surroundings: Surroundings
) -> Iterator[Reading]:
    """Rows of a CSV or TSV table, from its first line on."""
    columns = match_columns(header.names)
    if columns is None:
        raise ManifestError(f"{source}: the header row names no series column")
    place = 0
    while place <= header.place:
        line = next(lines)
        place += 1
        if isinstance(line, TextLine) and line.text.startswith("#"):
            surroundings = follow_comment(line.text, surroundings)
    for line in _join_records(lines):
        if isinstance(line, RejectedLine):
            yield line
        elif line.text and not (line.text.startswith("#") and header.delimiter not in line.text):
            cells = _split_record(line.text, header.delimiter)
            if tuple(cells) != header.names:  # files put together repeat it
                yield _read_row(line, cells, columns, (source, surroundings))


def name_json(stream: TextIO, source: str, surroundings: Surroundings) -> Iterator[Reading]:
    """Items of a JSON array, of JSON Lines, or of the answer of IDC's API. The text begins with `[` or `{`."""
    first = stream.readline()
    try:
        item = json.loads(first)
        whole = isinstance(item, list) or "manifest" in item or "manifest_data" in item
    except ValueError:
        whole, item = True, None
    if not whole:
        lines = chain([first], stream)
        numbered = ((number, line.strip()) for number, line in enumerate(lines, 1))
        return _name_json_lines(((number, line) for number, line in numbered if line), source, surroundings)
    rest = stream.read()
    if item is None or rest.strip():
        try:
            item = json.loads(first + rest)
        except ValueError as error:
            if first.lstrip().startswith("[") or not _looks_like_lines(rest):
                raise ManifestError(f"{source}: not readable as JSON: {error}") from None
            lines = chain([first], rest.splitlines())
            return _name_json_lines(
                ((n, line.strip()) for n, line in enumerate(lines, 1) if line.strip()), source, surroundings
            )
    items = _manifest_items(item, source)
    return (_name_item(number, item, None, (source, surroundings)) for number, item in enumerate(items, 1))


def name_parquet(stream: IO[bytes], source: str, surroundings: Surroundings) -> Iterator[Reading]:
    """Rows of a Parquet file, batch by batch."""
    import pyarrow as pa  # noqa: PLC0415  # 50 ms and 40 MB that text manifests do without
    import pyarrow.parquet as pq  # noqa: PLC0415  # likewise

    number = 0
    try:
        file = pq.ParquetFile(stream, buffer_size=262_144, pre_buffer=False)
        names = tuple(file.schema_arrow.names)
        columns = match_columns(names)
        if columns is None:
            raise ManifestError(
                f"{source}: none of its columns names a series: give one of {', '.join(sorted(KEY_COLUMNS))}"
            )
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield _read_row(
                    TextLine(number, str(cells[columns.keys[0][0]])), cells, columns, (source, surroundings)
                )
            pa.default_memory_pool().release_unused()
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{source}: not readable as Parquet: {error}") from error


def _read_row(line: TextLine, cells: Sequence[Any], columns: Columns, setting: tuple[str, Surroundings]) -> Reading:
    """Read which series a row is about: the best of its key columns that names one."""
    source, surroundings = setting
    width = len(cells)
    carried = {key: _plain(cells[place]) if place < width else None for key, place in columns.others}
    trouble: OptionsError | None = None
    for place, helper in columns.keys:
        text = str(cells[place]).strip() if place < width and cells[place] is not None else ""
        if text and helper is not None:
            bucket = str(cells[helper] or "").strip().rstrip("/") if helper < width else ""
            text = f"{bucket if '://' in bucket else f's3://{bucket}'}/{text}" if bucket else ""
        if text:
            try:
                return name_series(line.number, text, surroundings, carried)
            except OptionsError as error:
                trouble = trouble or error
    reason = trouble.message if trouble else "the columns that name the series are empty"
    return RejectedLine(source=source, line=line.number, text=shorten(line.text), reason=reason)


def _plain(value: Any) -> Any:
    """A value that a result row can carry: a scalar, or text; None for an empty cell."""
    if value is None or isinstance(value, str | int | float):
        return None if value == "" else value
    return value if not isinstance(value, list | dict | tuple) else json.dumps(value, default=str)


def _split_record(text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return [cell.strip() for cell in text.split(delimiter)]
    cells = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=False), [])
    return [cell.strip() for cell in cells]


def _join_records(lines: Iterator[TextLine | RejectedLine]) -> Iterator[TextLine | RejectedLine]:
    """Join lines whose quoted cell holds line ends. A quotation mark that is never closed spoils its own line alone."""
    waiting: list[TextLine | RejectedLine] = []
    while waiting or (waiting := list(islice(lines, 1))):
        head = waiting.pop(0)
        if isinstance(head, RejectedLine) or head.text.count('"') % 2 == 0:
            yield head
            continue
        joined, used = head.text, 0
        while joined.count('"') % 2 and used < _LONGEST_RECORD:
            if used == len(waiting):
                if (following := next(lines, None)) is None:
                    break
                waiting.append(following)
            part = waiting[used]
            if isinstance(part, RejectedLine):
                break
            joined, used = f"{joined}\n{part.text}", used + 1
        if joined.count('"') % 2:
            yield head
        else:
            del waiting[:used]
            yield TextLine(head.number, joined)


def _name_json_lines(lines: Iterator[tuple[int, str]], source: str, surroundings: Surroundings) -> Iterator[Reading]:
    for number, line in lines:
        if "\0" in line:
            raise ManifestError(f"{source}:{number}: NUL bytes: JSON manifests are UTF-8 text")
        try:
            item = json.loads(line)
        except ValueError as error:
            reason = f"not readable as JSON: {error}"
            yield RejectedLine(source=source, line=number, text=shorten(line), reason=reason)
        else:
            yield _name_item(number, item, line, (source, surroundings))


def _name_item(number: int, item: Any, text: str | None, setting: tuple[str, Surroundings]) -> Reading:
    """Read one item: an object with the columns of a table, or the name of a series as text."""
    source, surroundings = setting
    text = text if text is not None else item if isinstance(item, str) else json.dumps(item, default=str)
    if isinstance(item, dict):
        columns = match_columns(tuple(item))
        if columns is not None:
            return _read_row(TextLine(number, text), tuple(item.values()), columns, setting)
        reason = f"none of its keys names a series: give one of {', '.join(sorted(KEY_COLUMNS))}"
    elif isinstance(item, str):
        return read_name(number, item.strip(), source, surroundings)
    else:
        reason = "an item is an object or a text"
    return RejectedLine(source=source, line=number, text=shorten(text), reason=reason)


def _manifest_items(item: Any, source: str) -> list[Any]:
    """The rows in a JSON document."""
    if isinstance(item, dict):
        inner = item.get("manifest", item.get("manifest_data"))
        if inner is None:
            return [item]
        item = inner.get("manifest_data") if isinstance(inner, dict) else inner
    if not isinstance(item, list):
        raise ManifestError(f"{source}: JSON without a list of series: give an array, or manifest.manifest_data")
    return item


def _looks_like_lines(text: str) -> bool:
    return any(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in text.splitlines())
