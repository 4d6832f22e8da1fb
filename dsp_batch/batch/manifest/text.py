"""Reads the series that texts name: plain names, URLs, copy commands, and tables with or without a header row."""

from __future__ import annotations

import csv
import logging
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dsp_batch.batch.manifest.columns import Columns, match_columns
from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.batch.manifest.rows import (
    DELIMITERS,
    LONGEST_LINE,
    NamedLine,
    Reading,
    Surroundings,
    reject,
    split_record,
)
from dsp_batch.errors import OptionsError
from dsp_batch.model.identifiers import is_series_instance_uid, normalise_uuid
from dsp_batch.model.series import NO_COLUMNS, SeriesRef
from dsp_batch.names import SeriesName, parse_series
from dsp_batch.storage.aws import check_endpoint

_log = logging.getLogger(__name__)

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ANY_UUID = re.compile(_UUID, re.IGNORECASE)
_COMMAND = re.compile(r"(?:s5cmd|aws|gsutil|gcloud|cp|sync|mv)\s", re.ASCII)
_COMMENT_BEHIND = re.compile(r"\s+#")
_WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')
_ENDPOINT = re.compile(r"--endpoint-url[=\s]+[\"']?([^\s\"']+)")
_QUOTED = re.compile(r'"[^"]*"')
_COLUMN_NAME = re.compile(r'"?[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]*"?', re.ASCII)

# What most lines of most manifests look like: a root, the UUID of the series, and an ending that may be left out.
_ROOTED = rf"((?:[a-z0-9]+:/)?/[\w.~:/-]*/)({_UUID})(?:/\*?|(/[\w.-]+\.dcm))?"
_ROOTED_LINE = re.compile(_ROOTED, re.ASCII)
_COPY_LINE = re.compile(rf"(?:cp|sync|mv)\s+(?!https?:)(?=[a-z0-9]+:){_ROOTED}(?:\s(?!.*--endpoint-url).*)?", re.ASCII)
_SOME_UUID = "00000000-0000-4000-8000-000000000000"

_PREAMBLE_ROWS = 20
"""Rows of one cell that may come before a header row."""

_COMMENT_LINES = 1_000
"""Comments and blank lines that may come before a header row."""

_LONGEST_RECORD = 20
"""Lines that a cell with line ends may spread over; behind that its quotation mark is taken for a mistake."""

_EMPTY_CELLS = ' "' + "".join(DELIMITERS)


class Header(NamedTuple):
    """The header row of a table in text."""

    names: tuple[str, ...]
    columns: Columns
    delimiter: str
    lines_before: int


def parse_lines(lines: Iterator[str], surroundings: Surroundings) -> Iterator[Reading]:
    """Read the series that the lines of a text name, be it a table with a header row or not.

    Args:
        lines: From the first on, without blanks around them but for tabs.
        surroundings: What they leave open.
    """
    head = _take_head(lines)
    header = _find_header(head)
    if header is None:
        yield from _parse_plain_lines(chain(_drop_title(head), lines), surroundings)
        return
    for line in head[: header.lines_before]:
        surroundings = _follow_comment(line, surroundings)
    yield from _parse_table(chain(head[header.lines_before + 1 :], lines), header, surroundings)


def parse_line(number: int, text: str, surroundings: Surroundings) -> Reading:
    """Read a text that names a series, behind which a comment may stand."""
    try:
        return _parse_text(number, text, surroundings, NO_COLUMNS)
    except OptionsError as error:
        head = _COMMENT_BEHIND.split(text, maxsplit=1)[0]
        reading = parse_line(number, head, surroundings) if head != text else None
        if reading is None or isinstance(reading, RejectedLine):
            return reject(number, text, surroundings, reading.reason if reading else error.message)
        return reading


def parse_row(number: int, record: Any, row: Sequence[Any], columns: Columns, surroundings: Surroundings) -> Reading:
    """Read which series a row of a table is about: the best of its key columns that names one decides.

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
            return _parse_text(number, name, surroundings, columns.carry(row) if columns.others else NO_COLUMNS)
        except OptionsError as error:
            trouble = trouble or error.message
    return reject(number, record, surroundings, trouble or "the columns that name the series are empty")


def _take_head(lines: Iterator[str]) -> list[str]:
    """Take the first lines, among which a header row is looked for."""
    head: list[str] = []
    rows = 0
    for line in islice(lines, _COMMENT_LINES):
        head.append(line)
        rows += bool(line) and not line.startswith("#")
        if rows > _PREAMBLE_ROWS:
            break
    return head


def _find_header(lines: Sequence[str]) -> Header | None:
    """Find the row with the names of key columns.

    Only comments, blank lines and rows of one cell that name no series may come before it.
    """
    for number, line in enumerate(lines):
        if not line or line.startswith("#") or len(line) >= LONGEST_LINE:
            continue
        width = 1
        for delimiter in DELIMITERS:
            cells = tuple(split_record(line, delimiter))
            columns = match_columns(cells)
            if columns is not None:
                return Header(cells, columns, delimiter, number)
            width = max(width, sum(1 for cell in cells if cell))
        if width > 1 or "://" in line or normalise_uuid(line):
            return None
    return None


def _drop_title(lines: list[str]) -> list[str]:
    """Blank a column name that stands first and has URLs or commands below it; with other lines it is a mistake."""
    rows = [number for number, line in enumerate(lines) if line and line[0] != "#"][:2]
    if len(rows) == 2 and _COLUMN_NAME.fullmatch(lines[rows[0]]) and "://" in lines[rows[1]]:
        return [*lines[: rows[0]], "", *lines[rows[0] + 1 :]]
    return lines


def _parse_plain_lines(lines: Iterable[str], surroundings: Surroundings) -> Iterator[Reading]:
    """Read lines that each name a series; follow the endpoint in comments."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("#"):
            surroundings = _follow_comment(text, surroundings)
        elif text:
            yield parse_line(number, text, surroundings)


def _parse_table(lines: Iterator[str], header: Header, surroundings: Surroundings) -> Iterator[Reading]:
    """Read the rows below a header row; without those that are empty, comments, or the header row once more."""
    columns, delimiter = header.columns, header.delimiter
    for number, text in _join_records(lines, header):
        is_comment = text.startswith("#")
        if not text or (is_comment and delimiter not in text):
            continue
        cells = split_record(text, delimiter)
        row = [*cells[: columns.width], *[None] * (columns.width - len(cells))]
        if tuple(row) == header.names:
            continue
        if cells:
            reading = parse_row(number, text, row, columns, surroundings)
        else:
            is_cut = len(text) >= LONGEST_LINE
            longest = LONGEST_LINE if is_cut else csv.field_size_limit()
            reason = f"{'' if is_cut else 'a cell is '}longer than {longest} characters"
            reading = reject(number, text, surroundings, reason)
        # Spreadsheets write rows of delimiters alone, and a comment may hold a delimiter.
        if not isinstance(reading, RejectedLine) or (not is_comment and text.strip(_EMPTY_CELLS)):
            yield reading


def _join_records(lines: Iterator[str], header: Header) -> Iterator[tuple[int, str]]:
    """Number the rows behind a header; join those whose quoted cell holds line ends.

    A quotation mark that is never closed spoils its own line alone.
    """
    number = header.lines_before + 2
    held = deque[str]()
    while (line := held.popleft() if held else next(lines, None)) is not None:
        if line.count('"') % 2 == 0:
            yield number, line
            number += 1
            continue
        held.extend(islice(lines, _LONGEST_RECORD - len(held)))
        joined = _join_record([line, *held], header.delimiter)
        yield number, "\n".join(joined)
        number += len(joined)
        for _ in joined[1:]:
            held.popleft()


def _join_record(lines: list[str], delimiter: str) -> list[str]:
    """Return the first of some lines, with those that its last quoted cell goes on in."""
    marks = characters = 0
    for count, line in enumerate(lines, 1):
        marks += line.count('"')
        if marks % 2 == 0:
            joined = lines[:count]
            return joined if split_record("\n".join(joined), delimiter) else lines[:1]
        characters += len(line) + 1
        if characters > LONGEST_LINE:
            break
    return lines[:1]


def _parse_text(number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    """Read a name, a URL, a path, a copy command, or a row of a table without header.

    Raises:
        OptionsError: It is none of these.
    """
    if len(text) in (32, 36) and (uuid := normalise_uuid(text)):
        return _parse_uuid(number, uuid, surroundings, columns)
    if len(text) >= LONGEST_LINE:
        raise OptionsError(f"longer than {LONGEST_LINE} characters")
    usual = _ROOTED_LINE.fullmatch(text) or _COPY_LINE.fullmatch(text)
    root = usual and _find_root(usual[1], surroundings.server, is_instance=usual[3] is not None)
    if usual and root:
        return SeriesRef(root, usual[2], surroundings.endpoint_url, columns, number)
    is_quoted = _QUOTED.fullmatch(text) is not None
    text = text[1:-1].strip() if is_quoted else text
    if _COMMAND.match(text):
        surroundings = _follow_endpoint(text, surroundings)
        return _parse_name(number, _find_source(text), surroundings, columns)
    cells = [] if is_quoted else _split_cells(text)
    texts = _find_series_cells(cells) if len(cells) > 1 else [text]
    if len(cells) > 1 and len(texts) == 1:
        return _parse_text(number, texts[0], surroundings, columns)
    if len(texts) > 1:
        names = tuple(parse_series(cell, surroundings.root, surroundings.server) for cell in texts)
        return NamedLine(number, text, names, None, columns)
    return _parse_name(number, text, surroundings, columns)


@lru_cache(maxsize=1_024)
def _find_root(prefix: str, server: str | None, *, is_instance: bool) -> str | None:
    """Find the root of series whose URLs or paths begin alike; None where each must be read by itself."""
    try:
        name = parse_series(f"{prefix}{_SOME_UUID}{'/1.dcm' if is_instance else ''}", "", server)
    except OptionsError:
        return None
    return name.root if (name.name, name.kind, name.own_root) == (_SOME_UUID, "folder", True) else None


def _parse_name(number: int, text: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    """Read a text that is a name, a URL or a path and nothing else."""
    name = parse_series(text, surroundings.root, surroundings.server)
    if name.kind != "folder":
        return NamedLine(number, text, (name,), surroundings.endpoint_url, columns)
    if name.own_root:
        return SeriesRef(name.root, name.name, surroundings.endpoint_url, columns, number)
    return _parse_uuid(number, name.name, surroundings, columns)


def _parse_uuid(number: int, uuid: str, surroundings: Surroundings, columns: Mapping[str, Any]) -> Reading:
    if surroundings.root_is_certain:
        return SeriesRef(surroundings.root, uuid, None, columns, number)
    return NamedLine(number, uuid, (SeriesName(root=surroundings.root, name=uuid, kind="folder"),), None, columns)


def _follow_comment(line: str, surroundings: Surroundings) -> Surroundings:
    """Return the surroundings behind a line: IDC's portal names the S3-compatible server in a comment."""
    if not line.startswith("#"):
        return surroundings
    try:
        return _follow_endpoint(line, surroundings)
    except OptionsError as error:
        _log.warning("a comment of the manifest is passed over: %s", error.message)
        return surroundings


def _follow_endpoint(text: str, surroundings: Surroundings) -> Surroundings:
    """Return the surroundings of a command, or behind a comment.

    Raises:
        OptionsError: The endpoint is no URL of a server.
    """
    found = None if surroundings.server_is_given else _ENDPOINT.search(text)
    if found is None:
        return surroundings
    server = _s3_server(found[1])
    return replace(surroundings, server=server, endpoint_url=server)


@lru_cache(maxsize=16)
def _s3_server(endpoint_url: str) -> str | None:
    """Read an endpoint as written in a command; None for AWS itself."""
    host = urlsplit(check_endpoint(endpoint_url, " of the manifest")).hostname or ""
    return None if host == "amazonaws.com" or host.endswith(".amazonaws.com") else endpoint_url.rstrip("/")


def _find_source(text: str) -> str:
    """Find the source of a copy command, whatever its options and destination."""
    words = [match[1] or match[2] or match[3] or "" for match in _WORD.finditer(text)]
    verbs = [position for position, word in enumerate(words) if word in ("cp", "sync", "mv")]
    sources = [word for word in words[verbs[0] + 1 :] if "://" in word] if verbs else []
    if not sources or sources[0].startswith(("http://", "https://")):
        raise OptionsError("a copy command without the URL of a series: write cp s3://bucket/UUID/* .")
    return sources[0]


def _split_cells(text: str) -> list[str]:
    """Split a row of a table without header into cells; fewer than two for a text that is no row."""
    rows = [split_record(text, delimiter) for delimiter in DELIMITERS if delimiter in text]
    if len(rows) > 1:
        rows.sort(key=lambda row: not any(_ANY_UUID.search(cell) for cell in row if " " not in cell))
    return rows[0] if rows else []


def _find_series_cells(cells: list[str]) -> list[str]:
    """Find the cells of a row without header that may name its series, best first.

    A URL tells more than a UUID. Of several UUIDs the last is likeliest: that of the study comes before it.
    """
    urls = [cell for cell in cells if "://" in cell and (not cell.startswith("http") or _ANY_UUID.search(cell))]
    if urls:
        return [next((url for url in urls if url.startswith("s3://")), urls[0])]
    uuids = [cell for cell in cells if len(cell) in (32, 36) and normalise_uuid(cell)]
    names = uuids or [cell for cell in cells if is_series_instance_uid(cell)]
    if not names:
        raise OptionsError("no cell of this row is the URL or UUID of a series")
    return names[::-1]
